"""Databases before the first migration."""

from collections.abc import AsyncGenerator

import pytest
from support.postgres import TestServer


@pytest.fixture
async def empty_database_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A database with nothing in it."""
    async with postgres_server.new_database(migrated=False) as url:
        yield url
