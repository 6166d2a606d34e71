"""Requests that a foreign page makes a signed-in browser send are refused; those of programs are not."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Router
from support.console import HOST, IDENTITY_MOUNT, MOUNT, OPTIONAL_PARTS, Console, Headers, problem_of
from support.routes import ROUTES, Route
from support.world import Team

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import Caller, GatewayBackend
from hoc.settings import Settings

LEAVE = f"{HOST}{MOUNT}/tenant/leave"
FOREIGN = "https://evil.example"
TRUSTED = "https://app.example.com"
UNSAFE = [route for route in ROUTES.values() if route.method != "GET"]
SECRET = "a-secret-of-the-gateway"

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"Content-Type": "text/plain"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
AS_JSON = {"Content-Type": "application/json"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}
SAME_SITE = {"Sec-Fetch-Site": "same-site"}
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
FROM_FOREIGN = {"Origin": FOREIGN}
FROM_NULL = {"Origin": "null"}
FROM_OWN = {"Origin": HOST}

FORGED = [
    *(
        origin | kind
        for kind in ({}, FORM, TEXT, MULTIPART, AS_JSON)
        for origin in (FROM_FOREIGN, CROSS_SITE)
    ),
    *({}, FORM, TEXT, MULTIPART),
    FROM_NULL,
    CROSS_SITE | FROM_FOREIGN,
    SAME_SITE | {"Origin": "http://other.console.test"},
    {"Origin": f"{HOST}.evil.example"},
    {"Origin": f"{HOST}:8443"},
    {"Origin": "console.test"},
    {"Origin": ""},
    CROSS_SITE | {"X-Hoc-Request": "1"},
    FORM | {"Authorization": "Basic dTpw"},
    CROSS_SITE | {"Authorization": "Bearer of.the.proxy"},
]
OWN = [
    AS_JSON,
    {"Content-Type": "Application/JSON; charset=utf-8"},
    {"X-Hoc-Request": "1"},
    SAME_ORIGIN,
    SAME_ORIGIN | FORM,
    SAME_ORIGIN | FROM_NULL,
    SAME_ORIGIN | {"Origin": "https://the-proxy-rewrote.example"},
    {"Sec-Fetch-Site": "none"},
    FROM_OWN,
    FROM_OWN | FORM,
    {"Origin": "https://console.test", "Host": "console.test:443"},
    {"Origin": "http://console.test", "Host": "console.test:80"},
    {"Origin": TRUSTED},
    CROSS_SITE | {"Origin": TRUSTED},
    {"Authorization": "Bearer of-the-sign-in"},
]


class SignInCookie(AuthenticationBackend):
    """Believes a cookie that is the caller in JSON."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if (cookie := conn.cookies.get("user")) is None:
            return None
        user_id, tenant_id = cookie.split("|")
        return AuthCredentials(["accounts:admin"]), Caller(user_id, tenant_id)


def cookie(user_id: str, tenant_id: str) -> Headers:
    return {"Cookie": f"user={user_id}|{tenant_id}"}


def client_of(app: Any) -> httpx.AsyncClient:
    """A client that sends no header of its own but Host."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False))
    client.headers.clear()
    return client


@pytest.fixture(scope="module")
async def host(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    """An application with a sign-in by cookie, which mounts both services."""
    settings = Settings(
        database_url=SecretStr(database_url),
        data_dir=tmp_path_factory.mktemp("host"),
        trusted_origins=f"{TRUSTED}, https://other.example.com:8443",
        public_url="https://public.example.com/console",
        invitation_links=True,
        **OPTIONAL_PARTS,
    )
    accounts = Accounts(settings)
    mounts = [Mount(MOUNT, accounts.console_app), Mount(IDENTITY_MOUNT, accounts.identity_app)]
    async with client_of(AuthenticationMiddleware(Router(mounts), backend=SignInCookie())) as client:
        yield client
    await accounts.database.close()


def shown(headers: Headers) -> str:
    return json.dumps(headers) if headers else "no header"


@pytest.mark.parametrize("route", UNSAFE, ids=str)
async def test_no_route_does_what_a_foreign_page_asks(
    host: httpx.AsyncClient, console: Console, team: Team, route: Route
) -> None:
    values = await route.prepare(console, team)
    signed_in = cookie(values.get("caller", team.owner), team.tenant_id)
    for forged in FORGED:
        answer = await host.request(**route.request(values, json=None), headers=signed_in | forged)
        assert (answer.status_code, problem_of(answer)["code"]) == (403, "cross_site_request"), forged
    body = None if route.body is None else json.dumps(route.filled(values))
    own = signed_in | SAME_ORIGIN | ({} if body is None else AS_JSON)
    answer = await host.request(**route.request(values, json=None, content=body), headers=own)
    assert answer.is_success or route.label.endswith("accept"), answer.text


@pytest.mark.parametrize("headers", OWN, ids=shown)
async def test_the_applications_own_pages_are_served(
    host: httpx.AsyncClient, team: Team, headers: Headers
) -> None:
    answer = await host.post(LEAVE, headers=cookie(team.viewer, team.tenant_id) | headers)
    assert answer.status_code == 200, answer.text


async def test_other_listed_origins_and_the_public_url_are_trusted(
    host: httpx.AsyncClient, team: Team
) -> None:
    users = (team.member, "https://other.example.com:8443"), (team.viewer, "https://public.example.com")
    for user_id, origin in users:
        headers = cookie(user_id, team.tenant_id) | CROSS_SITE | {"Origin": origin}
        assert (await host.post(LEAVE, headers=headers)).status_code == 200


async def test_reads_need_no_proof(host: httpx.AsyncClient, team: Team) -> None:
    headers = cookie(team.owner, team.tenant_id) | CROSS_SITE | FROM_FOREIGN
    assert (await host.get(f"{HOST}{MOUNT}/users", headers=headers)).status_code == 200


async def test_a_caller_who_is_not_signed_in_is_told_so(host: httpx.AsyncClient) -> None:
    for headers in ({}, FORM, CROSS_SITE | FROM_FOREIGN):
        answer = await host.post(LEAVE, headers=headers)
        assert (answer.status_code, problem_of(answer)["code"]) == (401, "not_authenticated")


async def test_a_token_without_a_cookie_is_proof_enough(console: Console, team: Team) -> None:
    """A browser never adds one by itself: a page of any origin that has it may use it."""
    for user_id, headers in ((team.viewer, FORM), (team.member, CROSS_SITE | FROM_FOREIGN)):
        answer = await console.client.post(
            "/tenant/leave", headers=console.as_(user_id, team.tenant_id) | headers
        )
        assert answer.status_code == 200, answer.text


async def test_a_gateway_passes_on_where_a_browser_comes_from(
    database_url: str, team: Team, tmp_path: Path
) -> None:
    """It may sign people in by cookie. What names no origin comes from programs."""
    settings = Settings(database_url=SecretStr(database_url), data_dir=tmp_path)
    accounts = Accounts(settings, authentication=GatewayBackend(secret=SECRET))
    identity = {
        "X-Hoc-Gateway-Secret": SECRET,
        "X-Hoc-User-Id": team.viewer,
        "X-Hoc-Tenant-Id": team.tenant_id,
    }
    async with client_of(Router([Mount(MOUNT, accounts.console_app)])) as client:
        for forged in (CROSS_SITE, FROM_FOREIGN, FROM_NULL, CROSS_SITE | FROM_FOREIGN | AS_JSON):
            answer = await client.post(LEAVE, headers=identity | forged)
            assert problem_of(answer)["code"] == "cross_site_request", forged
        assert (await client.post(LEAVE, headers=identity)).status_code == 200
    await accounts.database.close()


@pytest.mark.parametrize(
    "listed", ["app.example.com", "https://app.example.com/", "https://app.example.com/console", "null", "*"]
)
def test_a_trusted_origin_that_is_none_is_named(database_url: str, listed: str) -> None:
    settings = Settings(database_url=SecretStr(database_url), trusted_origins=f"{TRUSTED} {listed}")
    with pytest.raises(ValueError, match="HOC_TRUSTED_ORIGINS"):
        Accounts(settings)
