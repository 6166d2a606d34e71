"""Limits concurrency, and passes values from one holder of a slot to the next."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Limiter(Generic[Value]):
    """A semaphore that can pass a value: `release(x)` hands x to the next waiter instead of freeing the slot.

    Waiters are served first-in-first-out. While the oldest has waited for more than half of the timeout, they
    are served last-in-first-out: under overload some are then served soon, instead of all shortly before or
    after the timeout. A limiter works in one event loop: see `PerLoop`.

    Args:
        limit: how many slots there are.
        timeout_seconds: how long a waiter waits before it gets TimeoutError.
        max_waiting: when this many wait, the next waiter makes the oldest one fail with TimeoutError.
        keep: takes a value that was passed to a waiter just cancelled, and that no other waits for.
    """

    def __init__(
        self,
        limit: int,
        *,
        timeout_seconds: float,
        max_waiting: int = 1_000,
        keep: Callable[[Value], None] | None = None,
    ) -> None:
        self._free = limit
        self._keep = keep
        self._timeout_seconds = timeout_seconds
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[float, asyncio.Future[Value | None]]] = deque()
        self._has_timer = False

    async def acquire(self) -> Value | None:
        """Take a slot. Returns the value that its last holder passed on, else None. Raises TimeoutError."""
        if self._free:
            self._free -= 1
            return None
        self._drop_finished()
        if len(self._waiting) >= self._max_waiting:
            _time_out(self._waiting[0][1])
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Value | None] = loop.create_future()
        self._waiting.append((monotonic(), waiter))
        self._start_timer(loop)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:  # served and cancelled at once
                left = self.release(waiter.result())
                if left is not None and self._keep is not None:
                    self._keep(left)
            raise

    def release(self, value: Value | None) -> Value | None:
        """Give a slot back. Returns ``value`` when no waiter took it."""
        self._drop_finished()
        while self._waiting:
            _, waiter = self._waiting.pop() if self._is_overloaded() else self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(value)
                return None
        self._free += 1
        return value

    def _start_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the only timer, for the oldest waiter: a timer for each would cost more than all the rest."""
        if self._waiting and not self._has_timer:
            self._has_timer = True
            left = self._waiting[0][0] + self._timeout_seconds - monotonic()
            loop.call_later(left, self._time_out_oldest, loop)

    def _time_out_oldest(self, loop: asyncio.AbstractEventLoop) -> None:
        self._has_timer = False
        while self._waiting and self._waiting[0][0] + self._timeout_seconds <= monotonic():
            _time_out(self._waiting.popleft()[1])
        self._drop_finished()
        self._start_timer(loop)

    def _is_overloaded(self) -> bool:
        since, _ = self._waiting[0]
        return monotonic() - since > self._timeout_seconds / 2

    def _drop_finished(self) -> None:
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()


def _time_out(waiter: asyncio.Future[Value | None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
