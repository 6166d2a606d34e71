"""Statements on connections that are handed from one to the next."""

import asyncio

import pytest
from sqlalchemy import event, literal, select
from support.postgres import opened

ONE = select(literal(1))


@pytest.mark.parametrize("count", [1, 8])
async def test_a_task_that_goes_on_reading_keeps_its_connection(count: int, database_url: str) -> None:
    checkouts: list[object] = []

    async def read() -> None:
        for _ in range(20):
            async with database.reading() as session:
                await session.scalar(ONE)

    async with opened(database_url, pool_size=10) as database:
        event.listen(database.engine.sync_engine, "checkout", lambda *given: checkouts.append(given))
        await asyncio.gather(*(read() for _ in range(count)))
    assert len(checkouts) == count


async def test_what_nobody_reads_with_is_sqlalchemys_again(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        async with database.reading() as session:
            await session.scalar(ONE)
        async with database.engine.connect() as connection:
            assert await connection.scalar(ONE) == 1


async def test_transactions_are_not_overtaken(database_url: str) -> None:
    """Of tasks that all go on, each gets its turn before another has a second one."""
    turns: list[int] = []

    async def write(number: int) -> None:
        for _ in range(3):
            await database.atomically(lambda session: session.scalar(ONE))
            turns.append(number)

    async with opened(database_url, pool_size=1) as database:
        await asyncio.gather(*(write(number) for number in range(4)))
    assert turns == [*range(4)] * 3


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
