"""The event feed: all events by sequence number, from any number on, for consumers that missed some."""

from typing import Protocol

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import MAX_LIMIT
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.results import EventFeedResult, EventResult


class FeedStore(Protocol):
    async def in_sequence(self, session: Session, after: int, limit: int) -> list[EventResult]:
        """The events after this sequence number. No event with a lower number can appear later."""
        ...


class EventFeed:
    def __init__(self, events: FeedStore) -> None:
        self._events = events

    async def read(self, session: Session, *, after: int = 0, limit: int = MAX_LIMIT) -> EventFeedResult:
        """The events after a sequence number, from 0 on; ``next_after`` is the number to read on after.

        An event appears when a relay has numbered it: within a second of its commit, where a server runs.

        Raises InvalidInputError.
        """
        if wrong := why_not_whole(after, 0, 2**63 - 1):
            raise InvalidInputError.of_parameter("after", wrong)
        if wrong := why_not_whole(limit, 1, MAX_LIMIT):
            raise InvalidInputError.of_parameter("limit", wrong)
        events = await self._events.in_sequence(session, after, limit)
        last = events[-1].sequence if events else None
        return EventFeedResult(events, after if last is None else last)
