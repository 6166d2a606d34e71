"""What belongs to an event loop, such as a future or a connection, is made anew in another loop."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """The running event loop's value, which ``make`` makes when the loop first asks for it.

    Only the last loop's value is kept. Whoever gives something back must keep the value that it came from.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._last: tuple[asyncio.AbstractEventLoop, Value] | None = None

    def get(self) -> Value:
        """Return the value of the loop that runs this. Raises RuntimeError if none does."""
        loop = asyncio.get_running_loop()
        last = self._last
        if last is not None and last[0] is loop:
            return last[1]
        value = self._make()
        self._last = (loop, value)
        return value
