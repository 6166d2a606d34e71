"""Databases before the first migration."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from support.postgres import TestServer


@pytest.fixture
async def empty_database_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A database with nothing in it."""
    name = f"hoc_test_{uuid.uuid4().hex}"
    async with AsyncExitStack() as stack:
        administrator = await asyncpg.connect(postgres_server.url)
        stack.push_async_callback(administrator.close)
        await administrator.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        stack.push_async_callback(administrator.execute, f'DROP DATABASE "{name}" WITH (FORCE)')
        yield urlunsplit(urlsplit(postgres_server.url)._replace(path=f"/{name}"))
