"""How pages write days, numbers and amounts."""

import re
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from hoc.cus.account.L5_schemas.currencies import DECIMAL_PLACES

_PLAIN = re.compile("[A-Za-z0-9_-]+")  # which the ids of hoc are: most of what is quoted
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def count(number: int) -> str:
    """A whole number with thousands apart."""
    return f"{number:,}"


def sentence(text: str) -> str:
    """A text that begins with a capital letter and ends with a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def words(name: str) -> str:
    """The words of a name such as ``in_progress``, the first with a capital letter."""
    return name.replace("_", " ").capitalize()


def event_words(name: str) -> str:
    """A type of event such as ``member.role_changed`` as words."""
    said = words(name.replace("tenant.", "project.").replace(".", "_"))
    return said.replace("Scim ", "SCIM ")


def amount(cents: int, currency: str | None) -> str:
    """An amount of money, with the currency's code if it is known."""
    sign = "\u2212" if cents < 0 else ""
    digits = 2 if currency is None else DECIMAL_PLACES.get(currency, 2)
    number = f"{sign}{abs(cents) / 10**digits:,.{digits}f}"
    return number if currency is None else f"{number}\u00a0{currency}"


def initials(name: str) -> str:
    """One or two letters that stand for a name or an address."""
    parts = [part for part in name.partition("@")[0].replace(".", " ").split() if part[0].isalnum()]
    if not parts:
        return "?"
    return (parts[0][0] + parts[-1][0] if len(parts) > 1 else parts[0][0]).upper()


def short_day(at: date) -> str:
    """The day and month of a date that is in no zone, such as a UTC day that something is counted for."""
    return f"{at.day} {_MONTHS[at.month - 1]}"


def long_day(at: date) -> str:
    return f"{short_day(at)} {at.year}"


def utc_day(at: datetime) -> str:
    """The UTC day of a time, for what begins at midnight UTC, such as a billing period."""
    return long_day(at.astimezone(UTC))


def path_part(text: str) -> str:
    """A text as one part of a URL's path."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


FILTERS: dict[str, Any] = {
    "count": count,
    "sentence": sentence,
    "words": words,
    "initials": initials,
    "short_day": short_day,
    "long_day": long_day,
    "utc_day": utc_day,
    "event_words": event_words,
    "amount": amount,
}
