"""Ends work that takes too long, and tells whether it may have changed something."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from hoc.concurrency.effect import Effect, tracked_effect
from hoc.concurrency.per_loop import PerLoop

if TYPE_CHECKING:
    from types import TracebackType

_FOR_ENDING = 0.05
_AGAIN_SECONDS = 0.2


class TimeLimit:
    """Gives each block ``with limit.running():`` the same number of seconds, and ends what it then awaits.

    The last twentieth of the time is for ending: the block's task is cancelled before it, and every fifth of
    a second again until the block has ended.

    Args:
        seconds: from a block's begin to its end.
        error: makes what a block that took too long raises, from whether it may have changed something.
    """

    def __init__(self, seconds: float, error: Callable[[bool], Exception]) -> None:
        self._error = error
        self._blocks = PerLoop(lambda: _Blocks(seconds * (1 - _FOR_ENDING)))

    def running(self) -> "_Block":
        return _Block(self._blocks.get(), self._error)


class _Blocks:
    """The blocks that run in one event loop, the oldest first.

    It has one timer, for the oldest block: a timer for each would cost more than all the rest.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[_Block, float] = {}
        self._has_timer = False

    def add(self, block: "_Block") -> None:
        self._ends[block] = monotonic() + self._seconds
        if not self._has_timer:
            self._start_timer()

    def discard(self, block: "_Block") -> None:
        self._ends.pop(block, None)

    def _start_timer(self) -> None:
        self._has_timer = True
        end = next(iter(self._ends.values()))
        asyncio.get_running_loop().call_later(end - monotonic(), self._end_oldest)

    def _end_oldest(self) -> None:
        self._has_timer = False
        while self._ends:
            block, end = next(iter(self._ends.items()))
            if end > monotonic():
                self._start_timer()
                return
            del self._ends[block]
            block.end()


class _Block:
    __slots__ = ("_blocks", "_cancelled", "_effect", "_error", "_others", "_task", "_token")

    def __init__(self, blocks: _Blocks, error: Callable[[bool], Exception]) -> None:
        self._blocks = blocks
        self._error = error
        self._cancelled = 0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A time limit needs a task to end.")
        self._task: asyncio.Task[object] | None = task
        self._others = task.cancelling()
        self._effect = Effect()
        self._token = tracked_effect.set(self._effect)
        self._blocks.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        _traceback: "TracebackType | None",
    ) -> None:
        tracked_effect.reset(self._token)
        self._blocks.discard(self)
        task, self._task = self._task, None
        if self._effect.is_possible and (outer := tracked_effect.get()) is not None:
            outer.is_possible = True
        if self._cancelled and task is not None:
            for _ in range(self._cancelled):
                task.uncancel()
            if kind is asyncio.CancelledError and task.cancelling() <= self._others:
                raise self._error(self._effect.is_possible) from problem

    def end(self) -> None:
        """Cancel the task until the block has ended: what it awaits may swallow a cancellation, or go on."""
        if self._task is not None:
            self._cancelled += 1
            self._task.cancel()
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self.end)
