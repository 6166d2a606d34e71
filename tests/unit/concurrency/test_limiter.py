"""The limiter bounds concurrency, and serves waiters in an order that suits its load."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from hoc.concurrency.limiter import Limiter

TIMEOUT_SECONDS = 0.2


class Queue:
    """A limiter, and the names of those that got a slot and of those that timed out, in order."""

    def __init__(self, count: int = 1, *, max_waiting: int = 1_000) -> None:
        self.limiter: Limiter[str] = Limiter(count, timeout_seconds=TIMEOUT_SECONDS, max_waiting=max_waiting)
        self.served: list[str] = []
        self.refused: list[str] = []

    def ask(self, *names: str) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._ask(name)) for name in names]

    async def _ask(self, name: str) -> None:
        try:
            await self.limiter.acquire()
        except TimeoutError:
            self.refused.append(name)
        else:
            self.served.append(name)

    @asynccontextmanager
    async def busy(self) -> AsyncGenerator[None]:
        """Hold the only slot until the end of the block."""
        await self.limiter.acquire()
        yield
        self.limiter.release(None)
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_have_a_slot() -> None:
    queue = Queue(2)
    queue.ask("one", "two", "three")
    await settle()
    assert queue.served == ["one", "two"]
    queue.limiter.release(None)
    await settle()
    assert queue.served == ["one", "two", "three"]


async def test_the_oldest_waiter_is_served_first() -> None:
    queue = Queue()
    async with queue.busy():
        queue.ask("one", "two")
        await settle()
    assert queue.served == ["one"]


async def test_under_overload_the_newest_waiter_is_served_first() -> None:
    queue = Queue()
    async with queue.busy():
        queue.ask("one", "two")
        await asyncio.sleep(TIMEOUT_SECONDS * 0.7)
        queue.ask("three")
        await settle()
    assert queue.served == ["three"]
    await asyncio.sleep(TIMEOUT_SECONDS)
    assert queue.refused == ["one", "two"]


async def test_a_waiter_that_timed_out_takes_no_slot() -> None:
    queue = Queue()
    async with queue.busy():
        await asyncio.gather(*queue.ask("one", "two"))
        assert queue.refused == ["one", "two"]
        queue.ask("three")
        await settle()
    assert queue.served == ["three"]


async def test_each_waiter_has_its_own_deadline() -> None:
    queue = Queue()
    async with queue.busy():
        [first] = queue.ask("one")
        await asyncio.sleep(TIMEOUT_SECONDS / 2)
        [second] = queue.ask("two")
        await asyncio.wait_for(first, 10)
        assert queue.refused == ["one"]
        await asyncio.wait_for(second, 10)
        assert queue.refused == ["one", "two"]


async def test_a_full_queue_refuses_its_oldest_waiter_at_once() -> None:
    queue = Queue(max_waiting=2)
    async with queue.busy():
        queue.ask("one", "two", "three", "four")
        await settle()
        assert queue.refused == ["one", "two"]
    assert queue.served == ["three"]


async def test_a_released_value_goes_to_the_next_waiter() -> None:
    limiter: Limiter[str] = Limiter(1, timeout_seconds=TIMEOUT_SECONDS)
    assert await limiter.acquire() is None
    waiting = asyncio.create_task(limiter.acquire())
    await settle()
    assert limiter.release("thing") is None
    assert await waiting == "thing"
    assert limiter.release("thing") == "thing", "no waiter took it"


@pytest.mark.parametrize("at_that_moment", [False, True])
async def test_a_cancelled_waiter_loses_no_value(*, at_that_moment: bool) -> None:
    limiter: Limiter[str] = Limiter(1, timeout_seconds=TIMEOUT_SECONDS)
    await limiter.acquire()
    leaving, staying = (asyncio.create_task(limiter.acquire()) for _ in range(2))
    await settle()
    if at_that_moment:
        limiter.release("thing")
        leaving.cancel()
    else:
        leaving.cancel()
        await settle()
        limiter.release("thing")
    assert await asyncio.wait_for(staying, 1) == "thing"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_value_passed_to_a_waiter_that_is_cancelled_at_once_is_kept() -> None:
    kept: list[str] = []
    limiter: Limiter[str] = Limiter(1, timeout_seconds=TIMEOUT_SECONDS, keep=kept.append)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    assert limiter.release("a connection") is None
    waiter.cancel()
    await asyncio.wait([waiter])
    assert kept == ["a connection"]
    assert await limiter.acquire() is None  # and the slot is free
