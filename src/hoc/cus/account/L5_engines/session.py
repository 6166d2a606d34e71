"""The two things every engine is given from outside: an open transaction and the time."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import uuid_utils

# The caller's transaction. Engines hand it to drivers and never look inside: its type is the driver's.
Session: TypeAlias = Any


class CallerSession(Protocol):
    """What the facade takes: SQLAlchemy's AsyncSession or AsyncConnection, or a MemorySession."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """A fresh identifier that sorts by creation time (UUID version 7, RFC 9562)."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def new_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)
