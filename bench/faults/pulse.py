"""Tells when something last succeeded."""

import asyncio
import math
import time


class Pulse:
    """Beats with each success. Times are of `time.monotonic`."""

    def __init__(self) -> None:
        self._began = -math.inf
        self._beaten = asyncio.Event()

    def beat(self, began: float) -> None:
        """Note the success of an operation that began at that time."""
        self._began = max(self._began, began)
        self._beaten.set()

    async def after(self, moment: float) -> float:
        """Wait for the success of an operation that began later. Returns the present time."""
        while self._began <= moment:
            self._beaten.clear()
            await self._beaten.wait()
        return time.monotonic()
