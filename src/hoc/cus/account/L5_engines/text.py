"""Checks of text that users send, before a database sees it."""

import unicodedata
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TypeVar

from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.scim import is_directory

Choice = TypeVar("Choice", bound=StrEnum)

MAX_ID_LENGTH = 255

# Unicode's categories of control characters and of surrogates, which PostgreSQL's text cannot hold.
_CONTROLS = frozenset({"Cc", "Cs"})
_WITHOUT_BREAKS = dict.fromkeys(map(ord, "\n\r\t"))

# Marks, embeddings, overrides and isolates: the text around one may be shown in another order.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Hangul's fillers and Braille without a dot: letters and a symbol by their categories, but shown as nothing.
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def clean_line(field: str, value: str, *, max_length: int = 255) -> str:
    """Return one line of text, trimmed.

    Raises InvalidInputError: its length, control characters, characters that change the direction of text, or
    nothing visible. Joiners stay: Persian, Hindi and emoji are written with them.
    """
    line = _trimmed(field, value, max_length)
    if _has_any(line, _CONTROLS | {"Zl", "Zp"}):
        raise InvalidInputError.of(field, "must not contain control characters or line breaks")
    if not line.isascii():
        if not _DIRECTIONS.isdisjoint(line):
            raise InvalidInputError.of(field, "must not contain characters that change the direction of text")
        if not any(map(_is_visible, line)):
            raise InvalidInputError.of(field, "must contain visible characters")
    return line


def clean_text(field: str, value: str, *, max_length: int) -> str:
    """Return text of several lines, trimmed. Raises as `clean_line`, but not for line breaks and tabs."""
    body = _trimmed(field, value, max_length)
    if _has_any(body.translate(_WITHOUT_BREAKS), _CONTROLS):
        raise InvalidInputError.of(field, "must not contain control characters")
    return body


def _trimmed(field: str, value: str, max_length: int) -> str:
    trimmed = value.strip()
    if not 1 <= len(trimmed) <= max_length:
        raise InvalidInputError.of(field, f"must have 1 to {max_length} characters")
    return trimmed


def choice(field: str, value: str, kind: type[Choice]) -> Choice:
    """Return the member of ``kind`` with this value. Raises InvalidInputError, which lists the members."""
    try:
        return kind(value)
    except ValueError:
        raise InvalidInputError.of(field, _one_of(kind)) from None


def choice_filter(name: str, value: str | None, kind: type[Choice]) -> Choice | None:
    """Like `choice`, for an optional query parameter."""
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise InvalidInputError.of_parameter(name, _one_of(kind)) from None


def _one_of(kind: type[StrEnum]) -> str:
    return f"must be one of {', '.join(kind)}"


def is_storable_id(value: str) -> bool:
    """Whether an identifier could be stored: it is short, and PostgreSQL's text can hold it."""
    return 1 <= len(value) <= MAX_ID_LENGTH and not _has_any(value, _CONTROLS)


def _has_any(text: str, unprintable: AbstractSet[str]) -> bool:
    """Whether a character is of these Unicode categories. ``isprintable`` is true only if none is."""
    return not text.isprintable() and any(
        unicodedata.category(character) in unprintable for character in text
    )


def _is_visible(character: str) -> bool:
    """Whether a character is shown by itself: no space, no format character, no mark on another one."""
    category = unicodedata.category(character)
    return category != "Cf" and category[0] not in "ZM" and character not in _FILLERS


def is_account_id(value: str) -> bool:
    """Whether an account may have this identifier: visible characters, as one segment of a URL's path.

    None has one that events and invitations have for a tenant's directory.
    """
    return (
        is_storable_id(value)
        and not is_directory(value)
        and value not in {".", ".."}
        and not {"/", " "} & set(value)
        and not _has_any(value, {"Cf", "Zs", "Zl", "Zp"})
    )
