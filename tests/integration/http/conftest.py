"""One console for all tests of a worker: each test works on tenants of its own."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from support.console import Console, ConsoleOn, Tenant, accounts_on, serving


@pytest.fixture(scope="session")
def console_on(tmp_path_factory: pytest.TempPathFactory) -> ConsoleOn:
    def start(url: str, **settings: Any) -> AbstractAsyncContextManager[Console]:
        directory = tmp_path_factory.mktemp("console")
        return serving(*accounts_on(url, directory, **settings))

    return start


@pytest.fixture(scope="session")
async def console(console_on: ConsoleOn, database_url: str) -> AsyncGenerator[Console]:
    async with console_on(database_url) as console:
        yield console


@pytest.fixture
async def tenant(console: Console) -> Tenant:
    return await console.tenant()
