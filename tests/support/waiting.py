"""Waiting for a change in another process."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

PATIENCE_SECONDS = 60


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return once ``condition`` gives a true value. Raises TimeoutError after a minute."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - asyncio has no event for another process
            await asyncio.sleep(0.01)


async def until_ready(client: httpx.AsyncClient) -> None:
    """Return once the service is ready. On a busy machine, connecting may take longer than a check may."""

    async def is_ready() -> bool:
        return (await client.get("/health/ready")).status_code == 200

    await until(is_ready)
