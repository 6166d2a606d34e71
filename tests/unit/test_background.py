"""Work beside the application ends with it, whatever it does."""

import asyncio
from contextlib import suppress

import pytest

from hoc.background import in_background


async def test_it_is_broken_off_at_the_end() -> None:
    broken_off = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    async with in_background(work(), name="test"):
        await asyncio.sleep(0)
    assert broken_off.is_set()


async def test_a_cancellation_that_a_library_swallows_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.background.AGAIN_SECONDS", 0.01)

    async def work() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), in_background(work(), name="test"):
        await asyncio.sleep(0)


async def test_what_it_failed_with_is_raised() -> None:
    async def work() -> None:
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        async with in_background(work(), name="test"):
            await asyncio.sleep(0)
