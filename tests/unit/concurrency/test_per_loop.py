"""What an event loop left unfinished does not hold up the next one."""

import asyncio
import logging

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


async def _read() -> str:
    return "read"


def test_a_flight_of_an_ended_loop_is_not_joined() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def abandon() -> None:
        asyncio.create_task(flights.get("key", _read))  # noqa: RUF006 - the loop ends before it begins
        await asyncio.sleep(0)

    async def read() -> str:
        async with asyncio.timeout(5):
            return await flights.get("key", _read)

    asyncio.run(abandon())
    assert asyncio.run(read()) == "read"


def test_a_batch_of_an_ended_loop_takes_no_turn() -> None:
    async def fetch(keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "fetched")

    loader = BatchLoader(fetch, in_flight=1)

    async def abandon() -> None:
        asyncio.create_task(loader.get("key"))  # noqa: RUF006 - the loop ends before it begins
        await asyncio.sleep(0)

    async def load() -> str | None:
        async with asyncio.timeout(5):
            return await loader.get("key")

    asyncio.run(abandon())
    assert asyncio.run(load()) == "fetched"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what is abandoned
def test_work_of_a_loop_that_was_closed_may_be_woken() -> None:
    """`wake` is called after a commit, when it is too late to fail."""

    async def work() -> None:
        pass

    background = BackgroundLoop(
        work, name="work", subject="work", pause_seconds=None, explain=str, logger=logging.getLogger("test")
    )
    running = background.running()

    async def begin() -> None:
        await running.__aenter__()
        await asyncio.sleep(0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    background.wake()
