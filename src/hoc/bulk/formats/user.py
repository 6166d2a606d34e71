"""A user as another system exports it, and how the exports write their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

Exported: TypeAlias = Mapping[str, Any]
"""A record of an export: a JSON object, or the cells of a CSV row by their column."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider of the exporting system, such as ``google``, calls the user."""

    provider: str
    subject: str


@dataclass(frozen=True, slots=True)
class ExportedUser:
    """Values are as the export has them, but for times, which are ISO 8601. They are checked as any row's."""

    user_id: Any
    email: Any
    name: Any = None
    email_verified: bool = False
    is_active: bool = True
    created_at: Any = None
    last_login_at: Any = None
    locale: Any = None
    timezone: Any = None
    identities: tuple[Identity, ...] = ()


def objects_in(listed: object) -> list[Exported]:
    """The objects of a list, without what else is in it. Anything but a list has none."""
    return [cast("Exported", entry) for entry in values_in(listed) if isinstance(entry, dict)]


def values_in(listed: object) -> list[object]:
    """The values of a list. Anything but a list has none."""
    return cast("list[object]", listed) if isinstance(listed, list) else []


def full_name(*parts: Any) -> str | None:  # noqa: ANN401 - as the export has them
    """The parts that are text, with a space between them. None if there is none."""
    given = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    return " ".join(given) or None


def is_true(value: Any) -> bool:  # noqa: ANN401 - as the export has it
    """Whether the export says so: by a boolean, or by the word in CSV. What is unclear does not count."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def iso_time(milliseconds: Any) -> Any:  # noqa: ANN401 - as the export has it
    """A time in milliseconds since 1970, as ISO 8601. Anything else stays as it is, to be refused."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return milliseconds
    try:
        return datetime.fromtimestamp(milliseconds / 1_000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)
