"""A world whose webhook endpoints may be on loopback."""

import pytest
from support.webhook_sending import webhook_world
from support.world import PostgresWorld

from hoc.database import Database


@pytest.fixture
async def world(fresh_database: Database) -> PostgresWorld:
    return webhook_world(fresh_database)
