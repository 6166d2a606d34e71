"""Badges and people in lists. Not macros: a macro's call in each row takes most of a page's time."""

from functools import lru_cache
from typing import Any, Final, Protocol

from markupsafe import Markup, escape

from hoc.cus.account.L2_api.pages.formatting import initials, words
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
    def name(self) -> str | None: ...

    @property
    def email(self) -> str: ...


@lru_cache(maxsize=256)
def badge(text: str, tone: str = "") -> Markup:
    """A word or two of an enumeration. ``tone`` is good, warn, bad, accent, or empty for a neutral one."""
    return Markup('<span class="badge {}">{}</span>').format(tone, words(str(text)))


def status(text: str) -> Markup:
    """A badge of the tone that the status has."""
    return badge(text, _TONE_OF.get(text, ""))


def role(name: str) -> Markup:
    return badge(name, "accent" if name == Role.OWNER else "")


def person(who: Person, url: str = "") -> Markup:
    """Name over address, with a link to more about the person."""
    name, email = who.name, who.email
    shown = escape(name or email)
    linked = f'<a href="{escape(url)}">{shown}</a>' if url else f"<span>{shown}</span>"
    address = f"<small>{escape(email)}</small>" if name else ""
    # Written without `Markup.format`, which takes five times as long.
    return Markup(  # noqa: S704 - each part is escaped, and initials are letters and digits
        f'<span class="who"><span class="mark round" aria-hidden="true">{initials(name or email)}</span>'
        f'<span class="who-text">{linked}{address}</span></span>'
    )


MARKS: Final[dict[str, Any]] = {"badge": badge, "status": status, "role": role, "person": person}
