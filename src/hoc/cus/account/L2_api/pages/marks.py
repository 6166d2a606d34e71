"""Badges, people and tenants in lists, options. Not macros: calling one for each takes most of the time."""

from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any, Final, Protocol

from markupsafe import Markup

from hoc.cus.account.L2_api.pages.formatting import initials, path_part, words
from hoc.cus.account.L5_schemas.values import Role

_TONES: Final = {
    tone: texts.split()
    for tone, texts in {
        "good": "active accepted sent paid resolved complete",
        "accent": "pending queued open trialing in_progress",
        "warn": "delayed past_due suspended expired",
        "bad": "failed uncollectible terminated",
    }.items()
}
_TONE_OF: Final = {text: tone for tone, texts in _TONES.items() for text in texts}


class Person(Protocol):
    @property
    def user_id(self) -> str: ...

    @property
    def name(self) -> str | None: ...

    @property
    def email(self) -> str: ...


class Tenant(Protocol):
    @property
    def tenant_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def slug(self) -> str: ...


@lru_cache(maxsize=256)
def badge(text: str, tone: str = "") -> Markup:
    """A word or two of an enumeration. ``tone`` is good, warn, bad, accent, or empty for a neutral one."""
    return Markup('<span class="badge {}">{}</span>').format(tone, words(str(text)))


def status(text: str) -> Markup:
    """A badge of the tone that the status has."""
    return badge(text, _TONE_OF.get(text, ""))


def role(name: str) -> Markup:
    return badge(name, "accent" if name == Role.OWNER else "")


def person(who: Person, place: str) -> Markup:
    """Name over address. ``place`` is the path above the person's page."""
    return Markup(person_of(who, place))  # noqa: S704 - it is HTML


def tenant(which: Tenant, place: str) -> Markup:
    """Name over slug. ``place`` is the path above the tenant's page."""
    return Markup(tenant_of(which, place))  # noqa: S704 - it is HTML


def person_of(who: Person, place: str) -> str:
    below = who.email if who.name else ""
    return _listed(who.name or who.email or "Erased", below, place + path_part(who.user_id), "mark round")


def tenant_of(which: Tenant, place: str) -> str:
    return _listed(which.name or "Erased", which.slug, place + path_part(which.tenant_id), "mark")


def _listed(name: str, below: str, url: str, mark: str) -> str:
    """HTML as a str, because `Markup.format` takes five times as long. Initials are letters and digits."""
    small = f"<small>{escape(below)}</small>" if below else ""
    return (
        f'<span class="who"><span class="{mark}" aria-hidden="true">{initials(name)}</span>'
        f'<span class="who-text"><a href="{escape(url)}">{escape(name)}</a>{small}</span></span>'
    )


def options(listed: Iterable[str | tuple[object, str]], chosen: object) -> Markup:
    """The options of a select: values, which are shown as words, or pairs of a value and its label."""
    pairs = ((each, words(str(each))) if isinstance(each, str) else each for each in listed)
    return Markup(  # noqa: S704 - each part is escaped
        "\n".join(
            f'<option value="{escape(str(value))}"{" selected" if str(value) == str(chosen) else ""}>'
            f"{escape(label)}</option>"
            for value, label in pairs
        )
    )


MARKS: Final[dict[str, Any]] = {
    "badge": badge,
    "status": status,
    "role": role,
    "person": person,
    "tenant": tenant,
    "options": options,
}
