"""Waiting for a change in another process."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return once ``condition`` gives a true value. Raises TimeoutError after a minute."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - asyncio has no event for another process
            await asyncio.sleep(0.01)
