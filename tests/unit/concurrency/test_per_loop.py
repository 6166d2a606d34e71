"""What an event loop left unfinished does not hold up the next one."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.batching import BatchLoader
from hoc.concurrency.per_loop import PerLoop
from hoc.concurrency.single_flight import SingleFlight


def test_each_loop_has_its_own_value() -> None:
    made: PerLoop[object] = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return made.get(), made.get()

    first, second = asyncio.run(twice()), asyncio.run(twice())
    assert first[0] is first[1]
    assert second[0] is second[1]
    assert first[0] is not second[0]
    with pytest.raises(RuntimeError):
        made.get()


def abandon(begin: Callable[[], Coroutine[None, None, object]]) -> None:
    """Begin work in a loop that is closed before the work is done."""
    loop = asyncio.new_event_loop()
    loop.create_task(begin())  # noqa: RUF006 - it is to be lost
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()


ABANDONED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@ABANDONED
def test_a_flight_of_an_ended_loop_is_not_waited_for() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def endless() -> str:
        await asyncio.sleep(3_600)
        return "never"

    async def short() -> str:
        return "read"

    async def read() -> str:
        async with asyncio.timeout(5):
            return await flights.get("key", short)

    abandon(lambda: flights.get("key", endless))
    assert asyncio.run(read()) == "read"


@ABANDONED
def test_a_batch_of_an_ended_loop_takes_no_turn() -> None:
    async def fetch(keys: list[str]) -> dict[str, str]:
        if "endless" in keys:
            await asyncio.sleep(3_600)
        return dict.fromkeys(keys, "fetched")

    loader = BatchLoader(fetch, in_flight=1)

    async def load() -> str | None:
        async with asyncio.timeout(5):
            return await loader.get("key")

    abandon(lambda: loader.get("endless"))
    assert asyncio.run(load()) == "fetched"


@ABANDONED
def test_work_of_a_loop_that_was_closed_may_be_woken() -> None:
    """`wake` is called after a commit, when it is too late to fail."""

    async def work() -> None:
        pass

    background = BackgroundLoop(
        work, name="work", subject="work", pause_seconds=None, explain=str, logger=logging.getLogger("test")
    )
    running = background.running()
    abandon(running.__aenter__)
    background.wake()
