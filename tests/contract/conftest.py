"""Every contract holds in memory and on PostgreSQL."""

from collections.abc import AsyncGenerator

import pytest
from support.postgres import TestServer, opened
from support.seed import delete_all
from support.world import MemoryWorld, PostgresWorld, World

from hoc.database import Database


@pytest.fixture(params=["memory", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    database: Database = request.getfixturevalue("database")
    return PostgresWorld(database)


@pytest.fixture(scope="session")
async def database_of_one_world(postgres_server: TestServer) -> AsyncGenerator[Database]:
    async with postgres_server.new_database() as url, opened(url) as database:
        yield database


@pytest.fixture
async def emptied_database(database_of_one_world: Database) -> Database:
    await delete_all(database_of_one_world)
    return database_of_one_world


@pytest.fixture(params=["memory", "postgresql"])
def empty_world(request: pytest.FixtureRequest) -> World:
    """A world without accounts, for tests that count all accounts or rows."""
    if request.param == "memory":
        return MemoryWorld()
    return PostgresWorld(request.getfixturevalue("emptied_database"))
