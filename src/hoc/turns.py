"""So many at once, and the others one after the other; nobody waits for long."""

import asyncio
from collections import deque
from time import monotonic
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """A semaphore with which things change hands: what one gives back the next one gets.

    The oldest comes first, unless it has waited for half of what it may: then there is more to do than can be
    done, and the newest comes first, so that some are served soon and not all too late.

    Args:
        count: have a turn at once.
        patience_seconds: after which who waits gets TimeoutError.
        max_waiting: beyond so many the oldest gets TimeoutError at once.
    """

    def __init__(self, count: int, *, patience_seconds: float, max_waiting: int = 1_000) -> None:
        self._free = count
        self._patience_seconds = patience_seconds
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[float, asyncio.Future[Thing | None]]] = deque()
        self._has_alarm = False

    async def take(self) -> Thing | None:
        """Wait for a turn; the thing of who had it, None if there is none. Raises TimeoutError."""
        if self._free:
            self._free -= 1
            return None
        self._forget_the_gone()
        if len(self._waiting) >= self._max_waiting:
            _refuse(self._waiting[0][1])
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Thing | None] = loop.create_future()
        self._waiting.append((monotonic(), turn))
        self._set_alarm(loop)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # it came at the very moment of going away
                self.give(turn.result())
            raise

    def give(self, thing: Thing | None) -> Thing | None:
        """End a turn; the thing again if nobody waits for it."""
        self._forget_the_gone()
        while self._waiting:
            _, turn = self._waiting.pop() if self._is_late() else self._waiting.popleft()
            if not turn.done():
                turn.set_result(thing)
                return None
        self._free += 1
        return thing

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """For the oldest alone: a timer for each would take longer than all the rest."""
        if self._waiting and not self._has_alarm:
            self._has_alarm = True
            patience = self._waiting[0][0] + self._patience_seconds - monotonic()
            loop.call_later(patience, self._refuse_the_impatient, loop)

    def _refuse_the_impatient(self, loop: asyncio.AbstractEventLoop) -> None:
        self._has_alarm = False
        while self._waiting and self._waiting[0][0] + self._patience_seconds <= monotonic():
            _refuse(self._waiting.popleft()[1])
        self._forget_the_gone()
        self._set_alarm(loop)

    def _is_late(self) -> bool:
        since, _ = self._waiting[0]
        return monotonic() - since > self._patience_seconds / 2

    def _forget_the_gone(self) -> None:
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()


def _refuse(turn: asyncio.Future[Thing | None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
