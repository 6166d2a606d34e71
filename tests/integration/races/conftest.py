"""The servers that this worker's races run on."""

from collections.abc import AsyncGenerator

import pytest
from support.postgres import TestServer
from support.two_servers import TwoServers, two_servers


@pytest.fixture(scope="session")
async def servers(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[TwoServers]:
    """Two servers on a database that no other test uses."""
    directory = tmp_path_factory.mktemp("two-servers")
    async with postgres_server.new_database() as url, two_servers(url, directory) as running:
        yield running
