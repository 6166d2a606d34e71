"""Single flight: identical reads at the same time are made once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from hoc.concurrency.per_loop import PerLoop

Value = TypeVar("Value")


class SingleFlight(Generic[Value]):
    """Deduplicates identical reads: at most one per key runs, and callers that come meanwhile share the next.

    A caller never joins a read that has begun, so each sees every write acknowledged before it called.
    """

    def __init__(self) -> None:
        self._flights: PerLoop[_Flights[Value]] = PerLoop(_Flights)

    async def get(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The result of ``read``, or of an identical read; raises what that read raised."""
        flights = self._flights.get()
        task = flights.next.get(key)
        if task is None:
            task = asyncio.create_task(flights.make(key, read))
            flights.next[key] = task
        try:
            # Shielded: a caller that is cancelled must not take the result from the others.
            return await asyncio.shield(task)
        finally:
            del task  # an exception's traceback would refer to this frame, and so to itself: cyclic garbage


class _Flights(Generic[Value]):
    """The reads of one event loop."""

    def __init__(self) -> None:
        self.next: dict[Hashable, asyncio.Task[Value]] = {}
        self._running: dict[Hashable, asyncio.Task[Value]] = {}

    async def make(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        if (before := self._running.get(key)) is not None:
            await asyncio.wait([before])
        self._running[key] = self.next.pop(key)
        try:
            return await read()
        finally:
            del self._running[key]
