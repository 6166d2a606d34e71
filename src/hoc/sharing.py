"""Concurrent reads that share a round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from itertools import chain
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_BATCH = 200


class SharedReads(Generic[Key, Value]):
    """Reads by key; those that wait at the same time are fetched together.

    A read joins only a fetch that has not been sent yet, so it sees every write acknowledged before it began.
    While one fetch is under way the next gathers; ``in_flight`` may be under way at once.
    """

    def __init__(
        self, fetch: Callable[[list[Key]], Awaitable[dict[Key, Value]]], *, in_flight: int = 2
    ) -> None:
        self._fetch = fetch
        self._free = in_flight
        self._waiting: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: Key) -> Value | None:
        """The value now, None if there is none; raises what the fetch raised."""
        # Of this reader alone: one that goes away must not take the answer from the others.
        future: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        self._start()
        return await future

    def _start(self) -> None:
        if self._waiting and self._free:
            self._free -= 1
            task = asyncio.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        batch = {key: self._waiting.pop(key) for key in list(self._waiting)[:MAX_BATCH]}
        try:
            # Another task may have taken them all.
            if batch:
                await self._answer(batch)
        finally:
            self._free += 1
            self._start()

    async def _answer(self, batch: dict[Key, list[asyncio.Future[Value | None]]]) -> None:
        try:
            found = await self._fetch(list(batch))
        except asyncio.CancelledError:
            for future in _read(chain.from_iterable(batch.values())):
                future.cancel()
            raise
        except Exception as problem:  # noqa: BLE001 - every waiting reader gets it, whatever it is
            for future in _read(chain.from_iterable(batch.values())):
                future.set_exception(problem)
        else:
            for key, futures in batch.items():
                value = found.get(key)
                for future in _read(futures):
                    future.set_result(value)


def _read(
    futures: Iterable[asyncio.Future[Value | None]],
) -> list[asyncio.Future[Value | None]]:
    """Those whose readers have not gone away."""
    return [future for future in futures if not future.done()]


class EqualReads(Generic[Value]):
    """Reads that would give the same; those that wait at the same time are made once.

    A read joins only one that has not begun, so it sees every write acknowledged before it began. One with a
    key is under way at once; while it is, the next gathers.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Value]] = {}
        self._next: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """What ``read`` gives now, or that of an equal one; raises what that raised."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, read))
            self._next[key] = task
        try:
            # Not awaited itself: one that goes away must not take the answer from the others.
            return await asyncio.shield(task)
        finally:
            del task  # what it raised, and the traceback of that, would lead back here: garbage in a circle

    async def _make(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        if (before := self._under_way.get(key)) is not None:
            await asyncio.wait([before])
        self._under_way[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            del self._under_way[key]
