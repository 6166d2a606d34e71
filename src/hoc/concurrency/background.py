"""Work that runs beside the application, once or again and again, until the application ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

AGAIN_SECONDS = 2.0


_log = logging.getLogger("hoc.background")


@asynccontextmanager
async def in_background(work: Callable[[], Awaitable[None]], *, name: str) -> AsyncGenerator[None]:
    """Run ``work`` until the end of the block, which cancels it. Work that dies is logged and rerun."""
    task = asyncio.create_task(_kept_alive(work, name), name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            # Before Python 3.12 asyncio.wait_for swallows a cancellation that comes just as it succeeds.
            await asyncio.wait([task], timeout=AGAIN_SECONDS)
        if not task.cancelled():
            task.result()


async def _kept_alive(work: Callable[[], Awaitable[None]], name: str) -> None:
    while True:
        try:
            await work()
        except asyncio.CancelledError as problem:
            if is_cancelled():
                raise
            _log_death(name, problem)  # what it awaited was cancelled, and not the work
        except Exception as problem:  # noqa: BLE001 - whatever it was, the work must go on
            _log_death(name, problem)
        else:
            return
        await asyncio.sleep(AGAIN_SECONDS)


def is_cancelled() -> bool:
    """Whether the running task has been asked to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _log_death(name: str, problem: BaseException) -> None:
    _log.error("%s died, and is started again", name, exc_info=problem)


class BackgroundLoop:
    """Runs ``work`` in rounds, whatever a round raises. Logs an outage once, and its end once.

    Args:
        work: one round. When it returns True, the next round follows at once.
        name: the task's name.
        subject: the name of the work in log messages.
        pause_seconds: how long to wait between two rounds unless `wake` is called; None waits for `wake`.
        explain: returns the reason to log for an expected exception, "" for one that is logged elsewhere, and
            None for an unforeseen one, which is logged with its traceback.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[bool | None]],
        *,
        name: str,
        subject: str,
        pause_seconds: float | None,
        explain: Callable[[Exception], str | None],
        logger: logging.Logger,
    ) -> None:
        self._work = work
        self._name = name
        self._subject = subject
        self._pause_seconds = pause_seconds
        self._explain = explain
        self._logger = logger
        self._woken: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outage = ""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run until the end of the block, which cancels a round under way."""
        return in_background(self._run, name=self._name)

    def wake(self) -> None:
        """Begin the next round now."""
        if self._woken is not None and self._loop is not None and not self._loop.is_closed():
            self._woken.set()

    def succeeded(self) -> None:
        """Log the end of an outage. A long round calls this as soon as its first step has succeeded."""
        if self._outage:
            self._logger.info("%s: working again", self._subject)
        self._outage = ""

    async def _run(self) -> None:
        woken = self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                woken.clear()
                if not await self._round():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), self._pause_seconds)
        finally:
            if self._woken is woken:
                self._woken = None

    async def _round(self) -> bool:
        try:
            has_more = await self._work()
        except Exception as problem:  # noqa: BLE001 - whatever it was, the next round must come
            self._log(problem)
            return False
        self.succeeded()
        return bool(has_more)

    def _log(self, problem: Exception) -> None:
        reason = self._explain(problem)
        outage = type(problem).__name__ if reason is None else reason
        if outage in {"", self._outage}:
            return
        self._outage = outage
        if reason:
            self._logger.warning("%s: paused, because %s", self._subject, reason)
        else:
            self._logger.error("%s: paused after an unforeseen error", self._subject, exc_info=problem)
