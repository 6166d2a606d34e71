"""Reads that share a fetch have the results that each would have alone."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from hoc.concurrency.batching import MAX_BATCH, BatchLoader

if TYPE_CHECKING:
    from collections.abc import Callable


class Store:
    """Rows whose fetches each wait until the test lets them return."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.sent: list[list[int]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def fetch(self, keys: list[int]) -> dict[int, str]:
        found = {key: self.rows[key] for key in keys if key in self.rows}
        self.sent.append(keys)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return found


async def settle() -> None:
    """Run every task until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def reading(loader: BatchLoader[int, str], *keys: int) -> list[asyncio.Task[str | None]]:
    return [asyncio.create_task(loader.get(key)) for key in keys]


async def test_reads_at_the_same_time_are_one_fetch() -> None:
    store = Store()
    store.rows = {1: "one", 2: "two"}
    loader = BatchLoader(store.fetch)
    reads = reading(loader, 1, 2, 3, 1, 1)
    await settle()
    assert store.sent == [[1, 2, 3]]
    store.answers[0].set_result(None)
    assert await asyncio.gather(*reads) == ["one", "two", None, "one", "one"]


async def test_a_read_sees_every_write_acknowledged_before_it_began() -> None:
    """A later read does not join a fetch that has been sent, which may have read already."""
    store = Store()
    store.rows[1] = "old"
    loader = BatchLoader(store.fetch)
    early = reading(loader, 1)
    await settle()
    store.rows[1] = "new"
    late = reading(loader, 1)
    await settle()
    assert store.sent == [[1], [1]]
    for answer in store.answers:
        answer.set_result(None)
    assert await asyncio.gather(*early, *late) == ["old", "new"]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
async def test_the_number_of_concurrent_fetches_is_bounded(in_flight: int) -> None:
    store = Store()
    loader = BatchLoader(store.fetch, in_flight=in_flight)
    reads: list[asyncio.Task[str | None]] = []
    for key in range(10):
        reads += reading(loader, key)
        await settle()
    assert store.sent == [[key] for key in range(in_flight)]
    store.answers[0].set_result(None)
    await settle()
    assert store.sent[in_flight:] == [list(range(in_flight, 10))]
    for answer in store.answers[1:]:
        answer.set_result(None)
    await asyncio.gather(*reads)


async def test_batches_are_bounded() -> None:
    store = Store()
    loader = BatchLoader(store.fetch, in_flight=1)
    reads = reading(loader, *range(2 * MAX_BATCH + 1))
    for number in range(3):
        await settle()
        assert len(store.sent) == number + 1
        store.answers[number].set_result(None)
    await asyncio.gather(*reads)
    assert [len(keys) for keys in store.sent] == [MAX_BATCH, MAX_BATCH, 1]


@pytest.mark.parametrize("problem", [ValueError("broken"), TimeoutError()])
async def test_an_error_reaches_every_reader_and_no_later_one(problem: Exception) -> None:
    store = Store()
    loader = BatchLoader(store.fetch)
    reads = reading(loader, 1, 1, 2)
    await settle()
    store.answers[0].set_exception(problem)
    assert await asyncio.gather(*reads, return_exceptions=True) == [problem] * 3
    [later] = reading(loader, 1)
    await settle()
    store.answers[1].set_result(None)
    assert await later is None


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_reader_harms_no_other(fails: bool) -> None:
    store = Store()
    store.rows[1] = "one"
    loader = BatchLoader(store.fetch)
    gone, stays = reading(loader, 1, 1)
    [alone] = reading(loader, 2)
    await settle()
    for task in (gone, alone):
        task.cancel()
    await settle()
    assert gone.cancelled()
    finish: Callable[[], None] = (
        (lambda: store.answers[0].set_exception(ValueError("broken")))
        if fails
        else (lambda: store.answers[0].set_result(None))
    )
    finish()
    [outcome] = await asyncio.gather(stays, return_exceptions=True)
    assert isinstance(outcome, ValueError) if fails else outcome == "one"


async def test_a_cancelled_fetch_leaves_no_reader_waiting() -> None:
    store = Store()
    loader = BatchLoader(store.fetch, in_flight=1)
    reads = reading(loader, 1)
    await settle()
    store.answers[0].cancel()
    await settle()
    assert reads[0].cancelled()
    [later] = reading(loader, 1)
    await settle()
    store.answers[1].set_result(None)
    assert await later is None
