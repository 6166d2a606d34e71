"""A block ends in its time, whatever it awaits, and others' cancellations stay theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from hoc.concurrency.effect import current_effect
from hoc.concurrency.time_limit import TimeLimit

PATIENCE_SECONDS = 60


class LateError(Exception):
    """The block took too long. Its argument: whether it may have changed something."""


def short() -> TimeLimit:
    return TimeLimit(0.05, LateError)


async def forever() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), PATIENCE_SECONDS)


async def deaf() -> None:
    """Go on after the first cancellations, as `asyncio.wait_for` may do before Python 3.12."""
    for _ in range(3):
        with suppress(asyncio.CancelledError):
            await forever()
    await forever()


@pytest.mark.parametrize("work", [forever, deaf])
async def test_a_block_that_takes_too_long_is_ended(work: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(LateError) as caught, short().running():
        await work()
    assert caught.value.args == (False,)
    await asyncio.sleep(0)  # the task is not cancelled any more


async def test_many_blocks_end_one_by_one() -> None:
    limit = TimeLimit(0.2, LateError)
    ended: list[int] = []

    async def block(name: int, begin: float, seconds: float) -> None:
        await asyncio.sleep(begin)
        try:
            with limit.running():
                await asyncio.sleep(seconds)
        except LateError:
            ended.append(name)

    await asyncio.gather(block(0, 0, PATIENCE_SECONDS), block(1, 0.05, 0), block(2, 0.1, PATIENCE_SECONDS))
    assert ended == [0, 2]
    with limit.running():
        await asyncio.sleep(0)


async def test_a_cancellation_by_somebody_else_is_no_lateness() -> None:
    async def block() -> None:
        with short().running():
            await deaf()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def change_and_wait() -> None:
    current_effect().is_possible = True
    await forever()


async def test_an_effect_is_that_of_the_block_and_of_those_around_it() -> None:
    outer = TimeLimit(PATIENCE_SECONDS, LateError)
    with outer.running():
        with pytest.raises(LateError) as untouched, short().running():
            await forever()
        assert not current_effect().is_possible
        with pytest.raises(LateError) as changed, short().running():
            await change_and_wait()
        assert (untouched.value.args, changed.value.args) == ((False,), (True,))
        assert current_effect().is_possible
    assert not current_effect().is_possible
