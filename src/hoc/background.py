"""Work that goes on beside the application, as long as it runs."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager

AGAIN_SECONDS = 2.0


@asynccontextmanager
async def in_background(work: Coroutine[object, object, None], *, name: str) -> AsyncGenerator[None]:
    """Run ``work`` until the end of the block, where it is broken off."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            # Before Python 3.12 asyncio.wait_for swallows a cancellation that comes just as it succeeds.
            await asyncio.wait([task], timeout=AGAIN_SECONDS)
        if not task.cancelled():
            task.result()
