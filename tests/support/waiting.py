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


async def until_available(client: httpx.AsyncClient, path: str = "/health/ready") -> None:
    """Return once a path is answered 200.

    Only health may be answered 503 until then: on a busy machine, connecting outlasts a check.
    """

    async def is_available() -> bool:
        status = (await client.get(path)).status_code
        assert status == 200 or (status == 503 and "/health" in path), (path, status)
        return status == 200

    await until(is_available)
