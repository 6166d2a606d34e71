"""What the in-memory stores share: reaching the session's tables, and paging."""

from collections.abc import Iterable
from typing import TypeVar

from hoc.cus.account.L5_schemas.records import Slice, SortKey, Window
from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.tables import Tables

T = TypeVar("T")


class MemoryStore:
    """Base of the stores: one database, whose sessions alone are accepted."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def read(self, session: MemorySession) -> Tables:
        """What the session sees."""
        return self._checked(session).visible()

    async def write(self, session: MemorySession) -> Tables:
        """The session's tables, locked: nobody else writes until the session ends."""
        return await self._checked(session).writable()

    def _checked(self, session: MemorySession) -> MemorySession:
        if getattr(session, "database", None) is not self._database:
            raise TypeError("This session is not one of the MemoryDatabase that the facade was made for.")
        return session


def slice_of(keyed: Iterable[tuple[SortKey, T]], window: Window, *, newest_first: bool = False) -> Slice[T]:
    """The window's part of a list, ordered by time, then id."""
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
