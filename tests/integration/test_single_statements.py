"""Statements that stand alone, on connections that go from one straight to the next."""

import asyncio
from contextlib import AsyncExitStack

from sqlalchemy import literal, select

from hoc.database import Database

ONE = select(literal(1))


async def test_who_waits_sends_its_statement_before_the_one_before_goes_on(database_url: str) -> None:
    order: list[str] = []

    async def read(name: str) -> None:
        async with database.reading() as session:
            order.append(f"{name} has the connection")
            await session.scalar(ONE)
        order.append(f"{name} goes on")

    async with AsyncExitStack() as stack:
        database = Database(database_url, pool_size=1)
        stack.push_async_callback(database.close)
        await asyncio.gather(read("first"), read("second"))
    assert order == [
        "first has the connection",
        "second has the connection",
        "first goes on",
        "second goes on",
    ]
