"""Background work ends with its block, and a loop goes on after errors."""

import asyncio
import logging
from contextlib import suppress

import pytest

from hoc.concurrency.background import BackgroundLoop, in_background


async def test_work_is_cancelled_at_the_end_of_the_block() -> None:
    broken_off = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    async with in_background(work, name="test"):
        await asyncio.sleep(0)
    assert broken_off.is_set()


async def test_a_cancellation_that_a_library_swallows_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.concurrency.background.AGAIN_SECONDS", 0.01)

    async def work() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), in_background(work, name="test"):
        await asyncio.sleep(0)


@pytest.mark.parametrize("problem", [ValueError("failed"), asyncio.CancelledError()])
async def test_work_that_dies_is_logged_and_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: BaseException
) -> None:
    """Work that awaits a cancelled task dies like any other."""
    monkeypatch.setattr("hoc.concurrency.background.AGAIN_SECONDS", 0.01)
    is_back, logged = asyncio.Event(), list[int]()

    async def work() -> None:
        logged.append(len(caplog.messages))
        if len(logged) == 1:
            raise problem
        is_back.set()

    async with asyncio.timeout(5), in_background(work, name="work"):
        await is_back.wait()
    assert logged == [0, 1]
    assert caplog.messages == ["work died, and is started again"]


class Rounds:
    """The work of a loop. Each round has the next of the outcomes; the last one repeats."""

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.outcomes = list(outcomes)
        self.done = 0

    async def __call__(self) -> bool:
        outcome = self.outcomes[min(self.done, len(self.outcomes) - 1)]
        self.done += 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def loop(self, pause_seconds: float | None = 0.001) -> BackgroundLoop:
        return BackgroundLoop(
            self,
            name="test",
            subject="work",
            pause_seconds=pause_seconds,
            explain=lambda problem: "it is unreachable" if isinstance(problem, OSError) else None,
            logger=logging.getLogger("test.loop"),
        )

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.done < count:  # noqa: ASYNC110 - the loop under test sets no event for it
                await asyncio.sleep(0.001)


async def test_an_outage_is_logged_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many rounds fail for the same reason."""
    rounds = Rounds(OSError(), OSError(), OSError(), False)
    with caplog.at_level(logging.INFO, "test.loop"):
        async with rounds.loop().running():
            await rounds.reach(6)
    assert caplog.messages == ["work: paused, because it is unreachable", "work: working again"]


async def test_an_unforeseen_error_is_logged_with_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The loop goes on, and logs the end of the outage."""
    rounds = Rounds(ValueError("unforeseen"), ValueError("unforeseen"), False)
    with caplog.at_level(logging.INFO, "test.loop"):
        async with rounds.loop().running():
            await rounds.reach(4)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[0].exc_info is not None


async def test_a_round_with_more_to_do_is_followed_at_once() -> None:
    rounds = Rounds(True, True, False)
    async with rounds.loop(pause_seconds=None).running():
        await rounds.reach(3)
        await asyncio.sleep(0.01)
        assert rounds.done == 3


async def test_waking_a_loop_ends_its_pause() -> None:
    """Waking a loop before it runs is allowed. A loop can run again, in a new block."""
    rounds = Rounds(False)
    loop = rounds.loop(pause_seconds=None)
    loop.wake()
    for count in (1, 3):
        async with loop.running():
            await rounds.reach(count)
            loop.wake()
            await rounds.reach(count + 1)


async def test_a_long_round_can_end_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    loop = Rounds(OSError()).loop(pause_seconds=None)
    with caplog.at_level(logging.INFO, "test.loop"):
        async with loop.running():
            await asyncio.sleep(0.01)
            loop.succeeded()
    assert caplog.messages[-1] == "work: working again"
