"""Badges, people and tenants in lists. Not macros: a macro's call in each row takes most of a page's time."""

from functools import lru_cache
from typing import Any, Final, Protocol

from markupsafe import Markup, escape

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
    below = who.email if who.name else ""
    return _listed(who.name or who.email, below, place + path_part(who.user_id), "mark round")


def tenant(which: Tenant, place: str) -> Markup:
    """Name over slug. ``place`` is the path above the tenant's page."""
    return _listed(which.name, which.slug, place + path_part(which.tenant_id), "mark")


def _listed(name: str, below: str, url: str, mark: str) -> Markup:
    small = f"<small>{escape(below)}</small>" if below else ""
    # Written without `Markup.format`, which takes five times as long.
    return Markup(  # noqa: S704 - each part is escaped, and initials are letters and digits
        f'<span class="who"><span class="{mark}" aria-hidden="true">{initials(name)}</span>'
        f'<span class="who-text"><a href="{escape(url)}">{escape(name)}</a>{small}</span></span>'
    )


MARKS: Final[dict[str, Any]] = {
    "badge": badge,
    "status": status,
    "role": role,
    "person": person,
    "tenant": tenant,
}
