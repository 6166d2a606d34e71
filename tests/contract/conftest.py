"""Every contract holds in memory and on PostgreSQL."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
from support.postgres import opened
from support.world import MemoryWorld, PostgresWorld, World

if TYPE_CHECKING:
    from support.postgres import TestServer

    from hoc.database import Database


@pytest.fixture(params=["memory", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    database: Database = request.getfixturevalue("database")
    return PostgresWorld(database)


@pytest.fixture(params=["memory", "postgresql"])
async def empty_world(request: pytest.FixtureRequest) -> AsyncGenerator[World]:
    """A world without accounts, for tests that count all accounts or rows."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    server: TestServer = request.getfixturevalue("postgres_server")
    async with server.new_database() as url, opened(url) as database:
        yield PostgresWorld(database)
