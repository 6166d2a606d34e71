"""So many at once; the others wait a little, and in an order that serves some of them soon."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from hoc.concurrency.limiter import Limiter

PATIENCE_SECONDS = 0.2


class Queue:
    """Limiter, and who got one in which order."""

    def __init__(self, count: int = 1, **options: int) -> None:
        self.turns: Limiter[str] = Limiter(count, timeout_seconds=PATIENCE_SECONDS, **options)
        self.served: list[str] = []
        self.refused: list[str] = []

    def ask(self, *names: str) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._ask(name)) for name in names]

    async def _ask(self, name: str) -> None:
        try:
            await self.turns.acquire()
        except TimeoutError:
            self.refused.append(name)
        else:
            self.served.append(name)

    @asynccontextmanager
    async def busy(self) -> AsyncGenerator[None]:
        """While the only turn is taken."""
        await self.turns.acquire()
        yield
        self.turns.release(None)
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_so_many_have_a_turn_and_not_one_more() -> None:
    queue = Queue(2)
    queue.ask("one", "two", "three")
    await settle()
    assert queue.served == ["one", "two"]
    queue.turns.release(None)
    await settle()
    assert queue.served == ["one", "two", "three"]


async def test_the_oldest_comes_first() -> None:
    queue = Queue()
    async with queue.busy():
        queue.ask("one", "two")
        await settle()
    assert queue.served == ["one"]


async def test_the_newest_comes_first_when_there_is_more_than_can_be_done() -> None:
    queue = Queue()
    async with queue.busy():
        queue.ask("one", "two")
        await asyncio.sleep(PATIENCE_SECONDS * 0.7)
        queue.ask("three")
        await settle()
    assert queue.served == ["three"]
    await asyncio.sleep(PATIENCE_SECONDS)
    assert queue.refused == ["one", "two"]


async def test_who_waited_too_long_is_refused_and_takes_nobodys_turn() -> None:
    queue = Queue()
    async with queue.busy():
        await asyncio.gather(*queue.ask("one", "two"))
        assert queue.refused == ["one", "two"]
        queue.ask("three")
        await settle()
    assert queue.served == ["three"]


async def test_each_waits_for_as_long_as_it_may_and_no_longer() -> None:
    queue = Queue()
    async with queue.busy():
        [first] = queue.ask("one")
        await asyncio.sleep(PATIENCE_SECONDS / 2)
        [second] = queue.ask("two")
        await asyncio.wait_for(first, 10)
        assert queue.refused == ["one"]
        await asyncio.wait_for(second, 10)
        assert queue.refused == ["one", "two"]


async def test_beyond_so_many_the_oldest_is_refused_at_once() -> None:
    queue = Queue(max_waiting=2)
    async with queue.busy():
        queue.ask("one", "two", "three", "four")
        await settle()
        assert queue.refused == ["one", "two"]
    assert queue.served == ["three"]


async def test_what_one_gives_the_next_gets() -> None:
    turns: Limiter[str] = Limiter(1, timeout_seconds=PATIENCE_SECONDS)
    assert await turns.acquire() is None
    waiting = asyncio.create_task(turns.acquire())
    await settle()
    assert turns.release("thing") is None
    assert await waiting == "thing"
    assert turns.release("thing") == "thing", "which nobody waits for"


@pytest.mark.parametrize("at_that_moment", [False, True])
async def test_who_goes_away_takes_nothing_along(*, at_that_moment: bool) -> None:
    turns: Limiter[str] = Limiter(1, timeout_seconds=PATIENCE_SECONDS)
    await turns.acquire()
    leaving, staying = (asyncio.create_task(turns.acquire()) for _ in range(2))
    await settle()
    if at_that_moment:
        turns.release("thing")
        leaving.cancel()
    else:
        leaving.cancel()
        await settle()
        turns.release("thing")
    assert await asyncio.wait_for(staying, 1) == "thing"
    with pytest.raises(asyncio.CancelledError):
        await leaving
