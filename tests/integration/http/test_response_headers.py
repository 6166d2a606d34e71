"""No answer with personal data is kept by a cache, and no browser guesses a content type."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.middleware.authentication import AuthenticationMiddleware
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers
from support.documents import ROOT, blocks
from support.routes import ROUTES, Route
from support.world import Team

from hoc.server import create_app

PAGE = "https://app.example.com"


def caching(answer: httpx.Response) -> str:
    """The only ``Cache-Control`` of an answer that forbids guessing, too."""
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    [value] = answer.headers.get_list("cache-control")
    return value


@pytest.mark.parametrize("route", ROUTES.values(), ids=str)
async def test_a_cache_keeps_no_result_without_a_version(console: Console, team: Team, route: Route) -> None:
    values = await route.prepare(console, team)
    answer = await console.client.request(
        **route.request(values), headers=route.allowed(console, team, values)
    )
    assert answer.is_success
    assert ("etag" in answer.headers) == route.operation.is_versioned
    assert caching(answer) == ("private, no-cache" if route.operation.is_versioned else "no-store")


@pytest.mark.parametrize("route", ROUTES.values(), ids=str)
async def test_a_cache_keeps_no_refusal(console: Console, route: Route) -> None:
    answers = [
        await console.client.request(**route.request(), headers=headers)
        for headers in ({}, {"Authorization": "Bearer x"}, console.as_("usr_nobody"))
    ]
    assert any(answer.is_error for answer in answers)
    assert {caching(answer) for answer in answers} == {"no-store"}


async def test_a_cache_keeps_no_repeated_answer(console: Console, headers: Headers) -> None:
    keyed = headers | {"Idempotency-Key": "once"}
    for _ in range(2):
        answer = await console.client.post("/projects", json={"name": "Mine"}, headers=keyed)
        assert (answer.status_code, caching(answer)) == (201, "no-store")


async def test_problems_of_no_route_are_not_kept(console: Console, headers: Headers) -> None:
    for method, path in (("GET", "/nothing"), ("PATCH", "/profile"), ("GET", f"{HOST}/elsewhere")):
        assert caching(await console.client.request(method, path, headers=headers)) == "no-store"


@pytest.mark.parametrize(
    "path", [f"{MOUNT}/openapi.json", f"{IDENTITY_MOUNT}/openapi.json", f"{IDENTITY_MOUNT}/asyncapi.json"]
)
async def test_the_documents_may_be_kept(console: Console, path: str) -> None:
    assert caching(await console.client.get(HOST + path)) == "max-age=300"


async def test_health_and_metrics_are_not_kept(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOC_DATABASE_URL", database_url)
    monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
    app = create_app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as client,
    ):
        for path in ("/health", "/health/detailed", "/health/live", "/health/ready", "/metrics", "/nothing"):
            assert caching(await client.get(path)) == "no-store"


async def test_a_host_can_open_the_console_to_other_origins(
    console: Console, team: Team, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the code of the page about it."""
    monkeypatch.setenv("HOC_DATABASE_URL", database_url)
    [block] = blocks(ROOT / "docs" / "how-to" / "cors.md", "python run")
    host: dict[str, Any] = {}
    exec(block.code, host)
    app = AuthenticationMiddleware(host["app"], backend=console.backend)

    page = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    owner = console.as_(team.owner, team.tenant_id) | page
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST + MOUNT) as client:
        allowed = await client.options("/profile", headers=page | asked)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
        other = await client.options("/profile", headers=asked | {"Origin": "https://evil.example"})
        assert other.status_code == 400

        read = await client.get("/profile", headers=owner)
        matching = owner | {"If-Match": read.headers["etag"]}
        written = await client.put("/profile", json={"display_name": "Me"}, headers=matching)
        left = await client.post("/tenant/leave", headers=console.as_(team.viewer, team.tenant_id) | page)
        refused = await client.get("/profile", headers=page)
    await host["accounts"].database.close()
    answers = read, written, left, refused
    assert [answer.status_code for answer in answers] == [200, 200, 200, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE
        exposed = answer.headers["access-control-expose-headers"]
        assert exposed == "Consistency-Token, ETag, Link, Retry-After, X-Request-Id"
