"""The base of the stores in memory, and paging."""

from collections.abc import Iterable
from typing import TypeVar

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.tables import Tables

T = TypeVar("T")


class MemoryStore:
    """The base of the stores. A store takes only its own database's sessions."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def read(self, session: MemorySession) -> Tables:
        """The state that the session reads."""
        return self._checked(session).visible()

    async def write(self, session: MemorySession) -> Tables:
        """The session's own copy. No other session can write until this one ends."""
        return await self._checked(session).writable()

    def _checked(self, session: MemorySession) -> MemorySession:
        if getattr(session, "database", None) is not self._database:
            raise TypeError("This session belongs to another MemoryDatabase than the facade.")
        return session


def slice_of(keyed: Iterable[tuple[SortKey, T]], window: Window, *, newest_first: bool = False) -> Slice[T]:
    """The window's rows of a list that is ordered by time, then id."""
    ordered = sorted(
        ((key.at, key.id, row) for key, row in keyed), key=lambda entry: entry[:2], reverse=newest_first
    )
    total = len(ordered)
    if window.after is not None:
        after = (window.after.at, window.after.id)
        ordered = [entry for entry in ordered if (entry[:2] < after if newest_first else entry[:2] > after)]
    shown = ordered[window.offset : window.offset + window.limit]
    return Slice(
        rows=[row for _, _, row in shown],
        total=total,
        last_key=SortKey(shown[-1][0], shown[-1][1]) if shown else None,
        has_more=len(ordered) > window.offset + window.limit,
    )
