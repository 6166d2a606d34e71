"""What operators read needs their token where one is set, and nothing else takes it."""

from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount, Route
from support.console import HOST, Headers, problem_of, raw
from support.servers import development_keys
from support.waiting import until_available

from hoc.server.app import Service
from hoc.settings import Settings

TOKEN = "the-token-of-the-operators"
PUBLIC = {"/", "/health", "/health/live", "/health/ready"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def settings_of(database_url: str, directory: Path, token: str | None, mount_path: str) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        data_dir=directory,
        development=True,
        console=False,
        mount_path=mount_path,
        operations_token=None if token is None else SecretStr(token),
    )


def client_of(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url=HOST)


@pytest.fixture(params=["/accounts", "/team/"])
def mount_path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(database_url: str, tmp_path: Path, mount_path: str) -> AsyncGenerator[Service]:
    service = Service(settings_of(database_url, tmp_path, TOKEN, mount_path))
    async with service.router.lifespan_context(service.router):
        yield service


@pytest.fixture
def of_a_user(service: Service, tmp_path: Path) -> Headers:
    del service  # has made the key
    return {"Authorization": f"Bearer {development_keys(tmp_path).issue('usr_1', scopes=['accounts:admin'])}"}


def documents_and_details(routes: Iterable[BaseRoute]) -> set[str]:
    """The paths that serve neither an operation nor a load balancer. That of a mount leads to `/`."""
    found: set[str] = set()
    led = set(PUBLIC)
    for route in routes:
        if isinstance(route, Mount):
            documents = {
                path for path in documents_and_details(route.routes) if path.endswith(("/docs", ".json"))
            }
            found |= {route.path + path for path in documents}
            led |= {route.path, f"{route.path}/"}
        elif isinstance(route, Route):
            found.add(route.path)
    return found - led


async def test_documents_and_details_need_the_token(service: Service, of_a_user: Headers) -> None:
    given = [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer é", ""]
    wrong = [value.encode() for value in given]
    protected = documents_and_details(service.routes) - {"/docs"}  # the front page, as at `/`
    assert len(protected) == 8
    async with client_of(service) as client:
        await until_available(client)
        for path in protected:
            for headers in (raw({}), raw(of_a_user), *(raw({}, "Authorization", value) for value in wrong)):
                for method in ("GET", "HEAD", "POST"):
                    answer = await client.request(method, path, headers=headers)
                    assert answer.status_code == 401, (path, headers)
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert answer.headers["cache-control"] == "no-store"
                    assert method == "HEAD" or problem_of(answer)["code"] == "not_authenticated"
            twice = [("Authorization", f"Bearer {TOKEN}")] * 2
            assert (await client.get(path, headers=twice)).status_code == 401
            for right in (BEARER, {"Authorization": f"bearer  {TOKEN}"}):
                assert (await client.get(path, headers=right)).status_code == 200, path


async def test_the_token_opens_nothing_else(service: Service, mount_path: str, of_a_user: Headers) -> None:
    async with client_of(service) as client:
        for path in (f"{mount_path.rstrip('/')}/memberships", "/api/v1/accounts/stats"):
            assert (await client.get(path, headers=BEARER)).status_code == 401
            assert (await client.get(path, headers=of_a_user)).status_code == 200
        for path in PUBLIC:
            await until_available(client, path)


async def test_without_a_token_documents_and_details_are_public(database_url: str, tmp_path: Path) -> None:
    service = Service(settings_of(database_url, tmp_path, None, "/accounts"))
    async with service.router.lifespan_context(service.router), client_of(service) as client:
        for path in documents_and_details(service.routes):
            await until_available(client, path)


def test_a_token_that_can_be_guessed_is_refused(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="HOC_OPERATIONS_TOKEN"):
        Service(settings_of(database_url, tmp_path, "x" * 15, "/accounts"))
