"""Guarantee 63: a backend given to `Accounts` alone says who calls, whatever the host application knows."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Router
from support.console import HOST, IDENTITY_MOUNT, MOUNT, OPTIONAL_PARTS, Console, anywhere
from support.routes import ROUTES, Route
from support.world import Team

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import Caller, DevelopmentKeys
from hoc.settings import Settings

EVERY_SCOPE = ["accounts:read", "accounts:write", "accounts:admin"]
PUBLIC = {
    "POST /accounts/invitations/{invitation_id}/accept",
    "POST /api/v1/accounts/email-changes/confirm",
}


class Cookie(AuthenticationBackend):
    """The host's own sign-in: the cookie is the user and the tenant."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        user_id, _, tenant_id = conn.cookies.get("session", "").partition("@")
        return (AuthCredentials(EVERY_SCOPE), Caller(user_id, tenant_id)) if user_id else None


@asynccontextmanager
async def host(
    url: str, directory: Path, own: AuthenticationBackend | None
) -> AsyncGenerator[httpx.AsyncClient]:
    """A host application with a sign-in by cookie, which mounts both applications."""
    settings = Settings(
        database_url=SecretStr(url), data_dir=directory, invitation_links=True, **OPTIONAL_PARTS
    )
    accounts = Accounts(settings, authentication=own)
    app = Starlette(
        routes=[Mount(MOUNT, accounts.console_app), Mount(IDENTITY_MOUNT, accounts.identity_app)],
        middleware=[Middleware(AuthenticationMiddleware, backend=Cookie())],
    )
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as client:
            yield client
    finally:
        await accounts.database.close()


def cookie(team: Team) -> dict[str, str]:
    return {"Cookie": f"session={team.owner}@{team.tenant_id}"}


@pytest.fixture(scope="module")
async def guarded(
    console: Console, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[tuple[httpx.AsyncClient, DevelopmentKeys]]:
    """The host, with a backend of hoc's own, and the keys that it accepts."""
    del console  # it has made the tables
    directory = tmp_path_factory.mktemp("host")
    keys = DevelopmentKeys(directory / "key.pem")
    async with host(database_url, directory, anywhere(keys)) as client:
        yield client, keys


@pytest.mark.parametrize("route", [route for route in ROUTES.values() if route.label not in PUBLIC], ids=str)
async def test_the_hosts_user_is_nobody_beside_a_backend(
    guarded: tuple[httpx.AsyncClient, DevelopmentKeys], team: Team, route: Route
) -> None:
    client, _ = guarded
    answer = await client.request(**route.request(), headers=cookie(team))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_the_hosts_scopes_do_not_count_beside_a_backend(
    guarded: tuple[httpx.AsyncClient, DevelopmentKeys], team: Team
) -> None:
    client, keys = guarded
    path = f"{IDENTITY_MOUNT}/accounts/stats"
    token = {"Authorization": f"Bearer {keys.issue(team.owner, team.tenant_id)}"}
    assert (await client.get(path, headers=token | cookie(team))).json()["code"] == "missing_scope"
    own = {"Authorization": f"Bearer {keys.issue('service', scopes=['accounts:admin'])}"}
    assert (await client.get(path, headers=own | cookie(team))).status_code == 200


async def test_without_a_backend_the_hosts_sign_in_decides(
    console: Console, team: Team, database_url: str, tmp_path: Path
) -> None:
    del console
    async with host(database_url, tmp_path, None) as client:
        for path in (f"{MOUNT}/users", f"{IDENTITY_MOUNT}/accounts/stats"):
            assert (await client.get(path, headers=cookie(team))).status_code == 200
            assert (await client.get(path)).status_code == 401


async def test_without_any_sign_in_two_routes_are_open(
    console: Console, database_url: str, tmp_path: Path
) -> None:
    """Both take a token that was mailed."""
    del console
    accounts = Accounts(
        Settings(
            database_url=SecretStr(database_url),
            data_dir=tmp_path,
            invitation_links=True,
            **OPTIONAL_PARTS,
        )
    )
    app = Router([Mount(MOUNT, accounts.console_app), Mount(IDENTITY_MOUNT, accounts.identity_app)])
    answers: dict[str, int] = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as client:
        for route in ROUTES.values():
            answers[route.label] = (await client.request(**route.request())).status_code
    await accounts.database.close()
    assert answers == {label: 404 if label in PUBLIC else 401 for label in ROUTES}
