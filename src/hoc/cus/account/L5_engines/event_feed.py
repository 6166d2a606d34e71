"""Every event in line, to be read again from any point: for consumers that missed some, or start late."""

from typing import Protocol

from hoc.cus.account.L5_engines.paging import MAX_LIMIT, bad_parameter
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.results import EventFeedResult, EventResult


class FeedStore(Protocol):
    async def in_line(self, session: Session, after: int, limit: int) -> list[EventResult]:
        """The events next in line; none with a lower sequence can appear later."""
        ...


class EventFeed:
    def __init__(self, events: FeedStore) -> None:
        self._events = events

    async def read(self, session: Session, *, after: int = 0, limit: int = MAX_LIMIT) -> EventFeedResult:
        """The events after a sequence number, 0 for the first; ask again with ``next_after``.

        An event appears when it is put in line, within a second of its commit where a server runs.
        """
        if not 0 <= after < 2**63:
            raise bad_parameter("after", "must be 0 to 2^63 - 1")
        if not 1 <= limit <= MAX_LIMIT:
            raise bad_parameter("limit", f"must be 1 to {MAX_LIMIT}")
        events = await self._events.in_line(session, after, limit)
        last = events[-1].sequence if events else None
        return EventFeedResult(events, after if last is None else last)
