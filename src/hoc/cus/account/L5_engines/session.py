"""What every engine is given: the caller's session and a clock; and how new ids and secrets are made."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import uuid_utils

# The caller's transaction. Engines only pass it on to drivers, which know its type.
Session: TypeAlias = Any


class CallerSession(Protocol):
    """The session of a facade's caller: SQLAlchemy's AsyncSession or AsyncConnection, or a MemorySession."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """A new identifier, which sorts by its creation time (UUID version 7, RFC 9562)."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)
