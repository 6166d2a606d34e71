"""Plain checks of text and numbers that people send, before a database sees them."""

import unicodedata
from enum import StrEnum
from typing import TypeVar

from hoc.cus.account.L5_schemas.errors import FieldProblem, InvalidInputError

Choice = TypeVar("Choice", bound=StrEnum)

MAX_ID_LENGTH = 255


def clean_line(field: str, value: str, *, max_length: int = 255) -> str:
    """One line of visible text: trimmed, 1 to ``max_length`` characters, no control characters."""
    line = value.strip()
    if not 1 <= len(line) <= max_length:
        raise InvalidInputError.of(field, f"must have 1 to {max_length} characters")
    if _has_any(line, {"Cc", "Cs", "Zl", "Zp"}):
        raise InvalidInputError.of(field, "must not contain control characters or line breaks")
    return line


def clean_text(field: str, value: str, *, max_length: int) -> str:
    """Text of several lines: trimmed, 1 to ``max_length`` characters; line breaks and tabs are kept."""
    body = value.strip()
    if not 1 <= len(body) <= max_length:
        raise InvalidInputError.of(field, f"must have 1 to {max_length} characters")
    if any(
        unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\r\t" for character in body
    ):
        raise InvalidInputError.of(field, "must not contain control characters")
    return body


def choice(field: str, value: str, kind: type[Choice]) -> Choice:
    """The member of ``kind`` with this value, or a refusal that lists them."""
    try:
        return kind(value)
    except ValueError:
        raise InvalidInputError.of(field, f"must be one of {', '.join(kind)}") from None


def choice_filter(field: str, value: str | None, kind: type[Choice]) -> Choice | None:
    """Like `choice` for an optional query parameter: an unknown value is an error, not an empty list."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        detail = f"must be one of {', '.join(kind)}"
        raise InvalidInputError(f"{field}: {detail}", problems=(FieldProblem(f"?{field}", detail),)) from None


def is_storable_id(value: str) -> bool:
    """Whether an identifier could exist at all: short, and free of what PostgreSQL text cannot hold."""
    return 1 <= len(value) <= MAX_ID_LENGTH and not _has_any(value, {"Cc", "Cs"})


def _has_any(text: str, unprintable: set[str]) -> bool:
    """Whether a character but a space is of these Unicode categories, none of which is printable."""
    return not text.isprintable() and any(
        unicodedata.category(character) in unprintable for character in text
    )


def is_account_id(value: str) -> bool:
    """Whether an account may get this identifier: visible throughout, and one segment of a URL's path."""
    return (
        is_storable_id(value)
        and value not in {".", ".."}
        and not {"/", " "} & set(value)
        and not _has_any(value, {"Cf", "Zs", "Zl", "Zp"})
    )
