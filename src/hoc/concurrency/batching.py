"""Batching: reads by key that wait at the same time share a round trip (a DataLoader)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Generic, TypeVar

from hoc.concurrency.per_loop import PerLoop

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_BATCH = 200


class BatchLoader(Generic[Key, Value]):
    """Loads values by key. The keys that wait at the same time are fetched together.

    A load joins only a fetch that has not been sent yet, so it sees every write acknowledged before it began.
    At most ``in_flight`` fetches run at the same time; keys that are asked for meanwhile wait for the next.
    """

    def __init__(
        self, fetch: Callable[[list[Key]], Awaitable[dict[Key, Value]]], *, in_flight: int = 2
    ) -> None:
        self._batches = PerLoop(lambda: _Batches(fetch, in_flight))

    async def get(self, key: Key) -> Value | None:
        """The key's value as of now, None if it has none. Raises what the fetch raised."""
        return await self._batches.get().load(key)


class _Batches(Generic[Key, Value]):
    """The loads of one event loop."""

    def __init__(self, fetch: Callable[[list[Key]], Awaitable[dict[Key, Value]]], in_flight: int) -> None:
        self._fetch = fetch
        self._free = in_flight
        self._waiting: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, key: Key) -> asyncio.Future[Value | None]:
        # One future for each caller: a caller that is cancelled must not take the value from the others.
        future: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        self._start()
        return future

    def _start(self) -> None:
        if self._waiting and self._free:
            self._free -= 1
            task = asyncio.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        batch = {key: self._waiting.pop(key) for key in list(self._waiting)[:MAX_BATCH]}
        try:
            # Another task may have taken every key.
            if batch:
                await self._answer(batch)
        finally:
            self._free += 1
            self._start()

    async def _answer(self, batch: dict[Key, list[asyncio.Future[Value | None]]]) -> None:
        try:
            found = await self._fetch(list(batch))
        except asyncio.CancelledError:
            for future in _open(chain.from_iterable(batch.values())):
                future.cancel()
            raise
        except Exception as problem:  # noqa: BLE001 - every waiting caller gets it, whatever it is
            for future in _open(chain.from_iterable(batch.values())):
                future.set_exception(problem)
        else:
            for key, futures in batch.items():
                value = found.get(key)
                for future in _open(futures):
                    future.set_result(value)


def _open(futures: Iterable[asyncio.Future[Value | None]]) -> list[asyncio.Future[Value | None]]:
    """The futures whose callers still wait."""
    return [future for future in futures if not future.done()]
