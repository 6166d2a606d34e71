"""The console in process, on real PostgreSQL, with callers that carry signed tokens."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
from pydantic import SecretStr
from starlette.routing import Mount, Router

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L5_engines.email_address import email_key
from hoc.cus.account.L5_engines.letters import draw_letter
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest
from hoc.cus.account.L6_drivers.letters import SqlLetters
from hoc.cus.account.L6_drivers.registrations import register
from hoc.settings import Settings

HOST = "http://console.test"
MOUNT = "/accounts"
IDENTITY_MOUNT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant with two owners, so that either may go, and one member of each other role."""

    tenant_id: str
    owner: str
    second_owner: str
    admin: str
    member: str
    viewer: str


class ConsoleOn(Protocol):
    """Serve the console on a database, under other settings."""

    def __call__(self, url: str, **settings: Any) -> AbstractAsyncContextManager["Console"]: ...


class Console:
    """`client` speaks to the console, `identity` to the identity service; their parts are to look behind."""

    def __init__(
        self,
        accounts: Accounts,
        keys: DevelopmentKeys,
        client: httpx.AsyncClient,
        identity: httpx.AsyncClient,
    ) -> None:
        self.accounts = accounts
        self.engines = accounts.engines
        self.database = accounts.database
        self.client = client
        self.identity = identity
        self._keys = keys
        self._fuzzed: dict[str, str] | None = None

    def token(self, user_id: str, tenant_id: str | None = None) -> str:
        return self._keys.issue(user_id, tenant_id)

    def as_(self, user_id: str, tenant_id: str | None = None) -> dict[str, str]:
        """The headers of a request by this user."""
        return {"Authorization": f"Bearer {self.token(user_id, tenant_id)}"}

    def scoped(self, *scopes: str, user_id: str = "service") -> dict[str, str]:
        """The headers of a caller with these scopes."""
        return {"Authorization": f"Bearer {self._keys.issue(user_id, scopes=scopes)}"}

    async def fuzzed(self) -> dict[str, str]:
        """The headers of one owner for all examples of a fuzzer: what they leave behind is input too."""
        if self._fuzzed is None:
            tenant_id, owner = await self.add_tenant()
            self._fuzzed = self.as_(owner, tenant_id)
        return self._fuzzed

    async def add_user(self, email: str | None = None) -> str:
        user_id, address = f"usr_{uuid.uuid4().hex}", email or new_email()
        async with self.database.transaction() as session:
            key = email_key(address)
            account = {"user_id": user_id, "email": address, "email_key": key, "email_verified": True}
            await register(session, [account])
        return user_id

    async def deactivate(self, user_id: str, *, deleted: bool = False) -> None:
        if deleted:
            await self.accounts.accounts.delete_account(user_id)
        else:
            inactive = AccountStatusChangeRequest(is_active=False)
            await self.accounts.accounts.change_account_status(user_id, inactive)

    async def add_tenant(self, owner: str | None = None) -> tuple[str, str]:
        """A tenant with one owner; returns both ids."""
        owner = owner or await self.add_user()
        async with self.database.transaction() as session:
            created = await self.engines.projects.create(session, owner, name=f"Tenant {uuid.uuid4().hex}")
        return created.value.project_id, owner

    async def invite(
        self, tenant_id: str, inviter: str, role: str = "member", email: str | None = None
    ) -> tuple[str, str]:
        """A pending invitation; returns its id and the token of its mail."""
        async with self.database.transaction() as session:
            invited = await self.engines.invitations.invite(
                session, tenant_id, inviter, email=email or new_email(), role=role
            )
            drawn = await draw_letter(SqlLetters(), session, tenant_id, invited.id, now=utc_now())
        assert drawn is not None
        return invited.id, drawn[1]

    async def add_member(self, tenant_id: str, inviter: str, role: str = "member") -> str:
        email = new_email()
        user_id = await self.add_user(email)
        invitation_id, token = await self.invite(tenant_id, inviter, role, email)
        async with self.database.transaction() as session:
            await self.engines.acceptances.accept(session, invitation_id, token)
        return user_id

    async def tenant(self) -> Tenant:
        tenant_id, owner = await self.add_tenant()
        roles = ("owner", "admin", "member", "viewer")
        return Tenant(tenant_id, owner, *[await self.add_member(tenant_id, owner, role) for role in roles])


def raw(headers: dict[str, str], name: str = "", value: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Headers as bytes, with one more of any bytes."""
    encoded = [(key.encode(), given.encode()) for key, given in headers.items()]
    return [*encoded, (name.encode(), value)] if name else encoded


def new_email() -> str:
    return f"person-{uuid.uuid4().hex}@example.com"


def accounts_on(url: str, directory: Path, **settings: Any) -> tuple[Accounts, DevelopmentKeys]:
    """The application on a database, with development keys and mail in a directory."""
    keys = DevelopmentKeys(directory / "development-key.pem")
    given = Settings(database_url=SecretStr(url), data_dir=directory, **settings)
    return Accounts(given, authentication=keys.backend()), keys


@asynccontextmanager
async def serving(accounts: Accounts, keys: DevelopmentKeys) -> AsyncGenerator[Console]:
    """The mounted application behind a client, until its connections are closed."""
    app = Router([Mount(MOUNT, accounts.app), Mount(IDENTITY_MOUNT, accounts.identity)], default=Api([]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with (
            httpx.AsyncClient(transport=transport, base_url=f"{HOST}{MOUNT}") as client,
            httpx.AsyncClient(transport=transport, base_url=f"{HOST}{IDENTITY_MOUNT}") as identity,
        ):
            yield Console(accounts, keys, client, identity)
    finally:
        await accounts.database.close()


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
    """All that a caller sees of a refusal, apart from what names this very request."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"x-request-id", "content-length"}
    }
    body = problem_of(response)
    return response.status_code, headers, body | {"instance": None, "request_id": None}
