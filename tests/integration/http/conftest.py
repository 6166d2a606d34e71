"""One console for all tests of a worker: each test works on tenants of its own."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from support.console import Console, ConsoleOn, Headers, serving
from support.scim_client import ScimClient, scim_client, scim_http
from support.world import Team


@pytest.fixture(scope="session")
def console_on(tmp_path_factory: pytest.TempPathFactory) -> ConsoleOn:
    def start(url: str, **settings: Any) -> AbstractAsyncContextManager[Console]:
        return serving(url, tmp_path_factory.mktemp("console"), **settings)

    return start


@pytest.fixture(scope="session")
async def console(console_on: ConsoleOn, database_url: str) -> AsyncGenerator[Console]:
    async with console_on(database_url) as console:
        yield console


@pytest.fixture
async def team(console: Console) -> Team:
    return await console.team()


@pytest.fixture
def headers(console: Console, team: Team) -> Headers:
    """The headers of a caller who may do anything: the team's owner, with the scope ``accounts:admin``."""
    return console.as_(team.owner, team.tenant_id, "accounts:admin")


@pytest.fixture(scope="session")
async def scim(console: Console) -> AsyncGenerator[httpx.AsyncClient]:
    """The SCIM endpoints of the worker's console."""
    async with scim_http(console) as http:
        yield http


@pytest.fixture
async def directory(console: Console, scim: httpx.AsyncClient) -> ScimClient:
    return await scim_client(console, scim)
