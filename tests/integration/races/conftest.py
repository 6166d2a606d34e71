"""The servers that this worker's races run on."""

from collections.abc import AsyncGenerator

import pytest
from support.postgres import TestServer
from support.two_servers import TwoServers, two_servers

TENANT_CAP = 30
RECIPIENT_CAP = 20


@pytest.fixture(scope="session")
async def servers(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[TwoServers]:
    """Two servers on a database that no other test uses; their caps on invitations are low."""
    directory = tmp_path_factory.mktemp("two-servers")
    async with (
        postgres_server.new_database() as url,
        two_servers(
            url,
            directory,
            invitations_per_tenant_per_day=str(TENANT_CAP),
            invitations_per_recipient_per_day=str(RECIPIENT_CAP),
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def tenant_cap() -> int:
    return TENANT_CAP


@pytest.fixture(scope="session")
def recipient_cap() -> int:
    return RECIPIENT_CAP
