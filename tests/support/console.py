"""Both services in process, on real PostgreSQL, with callers that carry signed tokens."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import httpx
from pydantic import SecretStr
from starlette.authentication import AuthenticationBackend
from starlette.routing import Mount, Router
from support.effort import TALLY
from support.pgbouncer import through
from support.postgres import POOLER
from support.roles import ROLES
from support.seed import add_tenants, add_users
from support.world import PostgresWorld, RealClock, Team

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L5_engines.hooks import Hook
from hoc.settings import Settings

HOST = "http://127.0.0.1"
SCIM: dict[str, Any] = {"scim": True}
DOMAINS: dict[str, Any] = {"domains": True, "dns_servers": "127.0.0.1"}
WEBHOOKS: dict[str, Any] = {"webhooks": True}
OPTIONAL_PARTS = DOMAINS | SCIM | WEBHOOKS
MOUNT = "/accounts"
IDENTITY_MOUNT = "/api/v1"

Headers: TypeAlias = dict[str, str]


class ConsoleOn(Protocol):
    """Serve the console on a database, under other settings."""

    def __call__(self, url: str, **settings: Any) -> AbstractAsyncContextManager["Console"]: ...


class Console(PostgresWorld):
    """`client` speaks to the console, `identity` to the identity service; the world is that of both."""

    def __init__(
        self,
        served: Accounts,
        keys: DevelopmentKeys,
        client: httpx.AsyncClient,
        identity: httpx.AsyncClient,
    ) -> None:
        super().__init__(served.database, RealClock())
        self.served = served
        self.client = client
        self.identity = identity
        self._keys = keys
        self._fuzzed: Headers | None = None

    @property
    def backend(self) -> AuthenticationBackend:
        """Accepts the tokens of the headers, in another application."""
        return self._keys.backend()

    def as_(self, user_id: str, tenant_id: str | None = None, *scopes: str) -> Headers:
        """The headers of a request by this user."""
        return {"Authorization": f"Bearer {self._keys.issue(user_id, tenant_id, scopes=scopes)}"}

    def scoped(self, *scopes: str) -> Headers:
        """The headers of a service with these scopes."""
        return self.as_("service", None, *scopes)

    async def fuzzed(self) -> Headers:
        """The headers of one caller for all examples of a fuzzer, whose data is input to the next ones."""
        if self._fuzzed is None:
            tenant_id, owner = await self.tenant()
            self._fuzzed = self.as_(owner, tenant_id, "accounts:admin")
        return self._fuzzed

    async def team(self, *, seats: int | None = 1_000) -> Team:
        """A team with a second owner, so that the first can leave, and with seats for all tests together.

        It is written to the tables, which costs a twentieth of five invitations.
        """
        users = await add_users(self.database, len(ROLES) + 1)
        members = dict(zip(users, (*ROLES, "owner"), strict=True))
        [tenant_id] = await add_tenants(self.database, 1, members, seats=seats)
        return Team(tenant_id, *users[: len(ROLES)])

    async def invited_team(self) -> Team:
        """Such a team that came about by invitations, so that events tell of it."""
        team = await super().team(seats=1_000)
        await self.join(team.tenant_id, team.owner, "owner")
        return team

    async def fill(self, tenant_id: str, owner: str, rows: int) -> None:
        """Add this number of members, each by an invitation, and of tickets and invoices."""
        for number in range(rows):
            await self.join(tenant_id, owner)
            async with self.transaction() as session:
                await self.facade.support.create_ticket(
                    session, tenant_id, owner, subject="Help", description="Please."
                )
                await self.facade.billing.record_invoice(
                    session,
                    tenant_id,
                    invoice_id=f"inv-{number}",
                    period_start=self.clock(),
                    period_end=self.clock(),
                    amount_cents=100,
                    status="paid",
                    description="A month",
                )


def anywhere(keys: DevelopmentKeys) -> AuthenticationBackend:
    """The keys' backend without its restriction to loopback: the tokens stand for those of an issuer."""
    return keys.backend()._backend  # pyright: ignore[reportPrivateUsage] - a real issuer needs a server


def raw(headers: Headers, name: str = "", value: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Headers as bytes, and one more whose value need not be text."""
    encoded = [(key.encode(), given.encode()) for key, given in headers.items()]
    return [*encoded, (name.encode(), value)] if name else encoded


@asynccontextmanager
async def serving(
    url: str, directory: Path, *, hooks: Mapping[str, Hook] | None = None, **settings: Any
) -> AsyncGenerator[Console]:
    """Both services on a database, until its connections are closed; keys and mail are in ``directory``."""
    keys = DevelopmentKeys(directory / "development-key.pem")
    settings = {"invitation_links": True, "pooler": POOLER, **OPTIONAL_PARTS, **settings}
    given = Settings(database_url=SecretStr(through(url)), data_dir=directory, **settings)
    served = Accounts(given, authentication=anywhere(keys), hooks=hooks)
    mounts = [Mount(MOUNT, served.console_app), Mount(IDENTITY_MOUNT, served.identity_app)]
    transport = httpx.ASGITransport(
        Router(mounts, default=Api([]), redirect_slashes=False), raise_app_exceptions=False
    )
    counting: dict[str, Any] = {"event_hooks": {"response": [_count]}}
    try:
        async with (
            httpx.AsyncClient(transport=transport, base_url=f"{HOST}{MOUNT}", **counting) as client,
            httpx.AsyncClient(
                transport=transport, base_url=f"{HOST}{IDENTITY_MOUNT}", **counting
            ) as identity,
        ):
            yield Console(served, keys, client, identity)
    finally:
        await served.database.close()


async def _count(answer: httpx.Response) -> None:
    TALLY[f"requests answered {answer.status_code // 100}xx"] += 1


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a refusal, its declared shape checked."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: dict[str, Any] = response.json()
    assert set(document) == {
        "type", "title", "status", "detail", "instance", "code", "request_id", "errors"
    }  # fmt: skip
    assert document["status"] == response.status_code
    assert document["type"] == f"urn:hoc:problem:{document['code']}"
    assert document["request_id"] == response.headers["x-request-id"]
    for error in document["errors"]:
        assert set(error) == {"pointer", "detail"}
    return document


def without_identity(response: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Everything in a refusal but the values that differ from request to request."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"x-request-id", "content-length"}
    }
    body = problem_of(response)
    return response.status_code, headers, body | {"instance": None, "request_id": None}
