"""Two server processes on one database, and calls to either."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support.identities import PRIMARY_ISSUER
from support.postgres import STATEMENT_TIMEOUT_MS, opened
from support.races import Request, meeting, race
from support.servers import development_keys, server_process

from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.database import Database
from hoc.mail.mailbox import DevelopmentMailbox

AT_ONCE = 50
"""The most requests of one race that may wait for each other."""

TENANT_CAP = 30
RECIPIENT_CAP = 20

_SETTINGS = {
    # Enough that they wait for a lock and not for a connection, which ends with 503 after a second.
    "pool_size": str(AT_ONCE // 2),
    "invitations_per_tenant_per_day": str(TENANT_CAP),
    "invitations_per_recipient_per_day": str(RECIPIENT_CAP),
    "primary_issuer": PRIMARY_ISSUER,
    "statement_timeout_ms": str(STATEMENT_TIMEOUT_MS),
    "request_timeout_ms": str(max(8_000, STATEMENT_TIMEOUT_MS)),
}


@dataclass(frozen=True, slots=True)
class TwoServers:
    """``database`` is the servers' database."""

    ports: tuple[int, int]
    database: Database
    keys: DevelopmentKeys
    mailbox: DevelopmentMailbox

    def call(
        self,
        server: int,
        method: str,
        path: str,
        *,
        user: str | None = None,
        tenant: str | None = None,
        body: object = None,
    ) -> Request:
        """A request to the console of ``server`` modulo two; without a ``user`` it is anonymous."""
        token = None if user is None else self.keys.issue(user, tenant)
        return Request(self.ports[server % 2], method, f"/accounts{path}", token, body)

    def identity(self, server: int, method: str, path: str, body: object = None) -> Request:
        """A request to a server's identity service with the scope ``accounts:admin``."""
        token = self.keys.issue("service", scopes=["accounts:admin"])
        return Request(self.ports[server % 2], method, f"/api/v1/accounts{path}", token, body)


@asynccontextmanager
async def two_servers(database_url: str, directory: Path) -> AsyncGenerator[TwoServers]:
    """Start both, with ``directory`` for their data."""
    async with AsyncExitStack() as stack:
        keys = development_keys(directory)
        first = stack.enter_context(server_process(database_url, directory, **_SETTINGS))
        second = stack.enter_context(server_process(database_url, directory, **_SETTINGS))
        database = await stack.enter_async_context(opened(database_url))
        mailbox = DevelopmentMailbox(directory / "mailbox")
        servers = TwoServers((first.port, second.port), database, keys, mailbox)
        await _connect(servers, database_url)
        yield servers


async def _connect(servers: TwoServers, database_url: str) -> None:
    """Let the servers open all their connections, one by one: fifty at once take long on a busy machine."""
    refused = servers.call(0, "POST", "/invitations/nobodys/accept", body={"token": "nobodys.token"})
    requests = [replace(refused, port=servers.ports[number % 2]) for number in range(AT_ONCE)]
    async with meeting(database_url, "LOCK TABLE account.invitations") as held:
        tasks = [await held.join(race([request])) for request in requests]
    await asyncio.gather(*tasks)
