"""Whether something goes well, and since when again."""

import asyncio
import math
import time


class Pulse:
    """Beats whenever something succeeded. Moments are of `time.monotonic`."""

    def __init__(self) -> None:
        self._began = -math.inf
        self._beaten = asyncio.Event()

    def beat(self, began: float) -> None:
        """Note a success of something that began then."""
        self._began = max(self._began, began)
        self._beaten.set()

    async def after(self, moment: float) -> float:
        """Wait for a success of something that began later; return when it is noticed."""
        while self._began <= moment:
            self._beaten.clear()
            await self._beaten.wait()
        return time.monotonic()
