"""Single statements, on connections that are handed from one to the next."""

import asyncio

from sqlalchemy import literal, select
from support.postgres import opened

ONE = select(literal(1))


async def test_a_waiter_gets_the_connection_before_its_owner_goes_on(database_url: str) -> None:
    order: list[str] = []

    async def read(name: str) -> None:
        async with database.reading() as session:
            order.append(f"{name} has the connection")
            await session.scalar(ONE)
        order.append(f"{name} goes on")

    async with opened(database_url, pool_size=1) as database:
        await asyncio.gather(read("first"), read("second"))
    assert order == [
        "first has the connection",
        "second has the connection",
        "first goes on",
        "second goes on",
    ]
