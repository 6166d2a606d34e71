"""Every contract holds in memory and on PostgreSQL."""

import pytest
from support.world import MemoryWorld, PostgresWorld, World

from hoc.database import Database


@pytest.fixture(params=["memory", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    database: Database = request.getfixturevalue("database")
    return PostgresWorld(database)
