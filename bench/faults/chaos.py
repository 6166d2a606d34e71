"""Kills targets at random moments while work goes on."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pulse import Pulse
from targets import Target

PATIENCE_SECONDS: Final = 120
LULL_SECONDS: Final = 2.0


@dataclass(slots=True)
class Chaos:
    """``work`` beats with each successful write.

    ``recoveries`` has, by target, for each kill the seconds until the target's pulse beat again.
    """

    work: Pulse
    recoveries: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def strike(self, targets: Sequence[Target]) -> None:
        """Kill each target; TimeoutError if one does not recover within two minutes.

        A kill waits for the recovery of its own target only, and for the success of a write that was sent
        after the last kill.
        """
        last_kill = time.monotonic()
        recovering: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as recoveries:
            for target in targets:
                if target.name in recovering:
                    await recovering[target.name]
                async with patience(f"No write succeeds before the kill of {target.name}."):
                    await self.work.after(last_kill)
                await asyncio.sleep(LULL_SECONDS * random.random())
                killed = time.monotonic()
                await target.crash()
                last_kill = time.monotonic()
                recovered = self._recovered(target, killed, last_kill)
                recovering[target.name] = recoveries.create_task(recovered)

    async def _recovered(self, target: Target, killed: float, gone: float) -> None:
        async with patience(f"{target.name} does not recover."):
            await target.restore()
            recovered = await target.pulse.after(gone)
        self.recoveries.setdefault(target.name, []).append(recovered - killed)


@asynccontextmanager
async def patience(complaint: str) -> AsyncGenerator[None]:
    """Raise TimeoutError with this complaint if the block takes longer than two minutes."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield
    except TimeoutError:
        raise TimeoutError(complaint) from None
