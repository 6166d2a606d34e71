"""What transactions that go straight to asyncpg leave behind, however they end."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import TestServer, opened
from support.waiting import until

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.database import Database
from hoc.database.direct import DirectConnection, SqlAlchemyRequiredError

INSERT = text("INSERT INTO written (word) VALUES (:word)")
WORDS = text("SELECT word FROM written ORDER BY word")
ENDED = text("SELECT pg_terminate_backend(pg_backend_pid())")
PROCESS = text("SELECT pg_backend_pid()")
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'"


class RefusalError(Exception):
    """A domain's error."""


@pytest.fixture
async def url(postgres_server: TestServer) -> AsyncGenerator[str]:
    async with postgres_server.new_database(migrated=False) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE written (word text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await connection.close()
        yield url


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    async with opened(url, pool_size=1, statement_timeout_ms=600_000) as database:
        yield database


async def words(database: Database) -> list[str]:
    async with database.reading() as session:
        return [row.word for row in await session.execute(WORDS)]


async def process(session: SqlSession) -> int:
    found: int = await session.scalar(PROCESS)
    return found


async def test_what_a_block_wrote_stays_only_if_the_block_raises_nothing(database: Database) -> None:
    processes: list[int] = []

    async def work(session: SqlSession, *, refuses: bool) -> None:
        assert isinstance(session, DirectConnection)
        processes.append(await process(session))
        await session.execute(INSERT, {"word": f"refused: {refuses}"})
        if refuses:
            raise RefusalError

    with pytest.raises(RefusalError):
        await database.atomically(lambda session: work(session, refuses=True))
    await database.atomically(lambda session: work(session, refuses=False))
    assert await words(database) == ["refused: False"]
    assert len(set(processes)) == 1  # a refusal costs no connection


async def test_a_cancelled_block_ends_its_statement_and_leaves_its_connection_to_nobody(
    url: str, database: Database
) -> None:
    async def work(session: SqlSession) -> None:
        processes.append(await process(session))
        await session.execute(INSERT, {"word": "cancelled"})
        await session.scalar(text("SELECT pg_sleep(600)"))

    async def is_sleeping() -> bool:
        return bool(processes and await observer.fetchval(SLEEPING, processes[0]))

    async def is_awake() -> bool:
        return not await is_sleeping()

    processes: list[int] = []
    observer = await asyncpg.connect(url)
    try:
        cancelled = asyncio.create_task(database.atomically(work))
        await until(is_sleeping)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await until(is_awake)
    finally:
        await observer.close()
    assert await words(database) == []
    assert await database.atomically(process) not in processes


async def test_a_block_whose_server_process_ends_says_so_and_the_next_has_another(database: Database) -> None:
    async def work(session: SqlSession) -> None:
        await session.execute(INSERT, {"word": "ended"})
        await session.scalar(ENDED)

    with pytest.raises(UnavailableError) as refused:
        await database.atomically(work)
    assert "terminating connection due to administrator command" in str(refused.value.__cause__)
    assert await words(database) == []


async def test_a_commit_that_fails_leaves_nothing(database: Database) -> None:
    async def twice(session: SqlSession) -> None:
        for _ in range(2):
            await session.execute(INSERT, {"word": "twice"})

    with pytest.raises(asyncpg.UniqueViolationError):
        await database.atomically(twice)
    assert await words(database) == []


async def test_a_savepoint_undoes_what_its_block_wrote(database: Database) -> None:
    async def failing(session: SqlSession) -> None:
        async with session.begin_nested():
            await session.execute(INSERT, {"word": "raised"})
            await session.execute(text("SELECT 1 / 0"))

    async def work(session: SqlSession) -> None:
        async with session.begin_nested():
            await session.execute(INSERT, {"word": "kept"})
        async with session.begin_nested() as savepoint:
            await session.execute(INSERT, {"word": "rolled back"})
            await savepoint.rollback()
            assert not savepoint.is_active
        with pytest.raises(asyncpg.DivisionByZeroError):
            await failing(session)
        await session.execute(INSERT, {"word": "after"})

    await database.atomically(work)
    assert await words(database) == ["after", "kept"]


async def test_work_that_needs_sqlalchemy_runs_again_with_it(database: Database) -> None:
    async def work(session: SqlSession) -> None:
        await session.execute(INSERT, {"word": type(session).__name__})
        if isinstance(session, DirectConnection):
            raise SqlAlchemyRequiredError

    await database.atomically(work)
    await database.write(_only_in_sqlalchemys)
    assert await words(database) == ["AsyncConnection", "written"]


async def _only_in_sqlalchemys(session: SqlSession) -> None:
    if not isinstance(session, AsyncConnection):
        raise SqlAlchemyRequiredError
    await session.execute(INSERT, {"word": "written"})
