"""Every contract holds in memory and on PostgreSQL."""

from typing import TYPE_CHECKING

import pytest
from support.world import MemoryWorld, PostgresWorld, World

if TYPE_CHECKING:
    from hoc.database import Database


@pytest.fixture(params=["memory", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    database: Database = request.getfixturevalue("database")
    return PostgresWorld(database)
