"""Refusals as they appear on the wire."""

import json
import logging
import re
from pathlib import Path

import httpx
import pytest
from support.console import Console, ConsoleOn, Headers, problem_of, raw
from support.routes import ROUTES, Route
from support.waiting import until_available

from hoc.server import create_app


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/users/", 404, "not_found"),
        ("GET", "/users//", 404, "not_found"),
        ("GET", "/users/a/b", 404, "not_found"),
        ("PUT", "/users", 405, "method_not_allowed"),
        ("DELETE", "/profile", 405, "method_not_allowed"),
        ("PATCH", "/profile", 405, "method_not_allowed"),
        ("TRACE", "/billing", 405, "method_not_allowed"),
        ("FOO", "/billing", 405, "method_not_allowed"),
        ("GET", "/users/invite/", 404, "not_found"),
    ],
)
async def test_unknown_paths_and_methods_are_refused(  # noqa: PLR0917 - pytest passes by name
    console: Console, headers: Headers, method: str, path: str, status: int, code: str
) -> None:
    answer = await console.client.request(method, path, headers=headers)
    document = problem_of(answer)
    assert (answer.status_code, document["code"]) == (status, code)
    assert document["instance"] == f"/accounts{path}"
    if status == 405:
        assert answer.headers["allow"]


async def test_a_problem_document_has_its_declared_fields(console: Console, headers: Headers) -> None:
    body = {"email": 1, "expires_in_days": "7", "role": None}
    named = headers | {"X-Request-Id": "request-of-mine.1"}
    answer = await console.client.post("/users/invite", json=body, headers=named)
    document = problem_of(answer)
    assert isinstance(document["detail"], str)
    assert {error["pointer"] for error in document["errors"]} == {"/email", "/expires_in_days", "/role"}
    assert document | {"detail": "", "errors": []} == {
        "type": "urn:hoc:problem:invalid_input",
        "title": "Bad Request",
        "status": 400,
        "detail": "",
        "instance": "/accounts/users/invite",
        "code": "invalid_input",
        "request_id": "request-of-mine.1",
        "errors": [],
    }


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/users/invite", {"email": "nobody"}, "/email"),
        ("/users/invite", {"email": "a@example.com", "role": "king"}, "/role"),
        ("/users/invite", {"email": "a@example.com", "expires_in_days": 31}, "/expires_in_days"),
        ("/users/invite", {}, "/email"),
        ("/users/invite", [], ""),
        ("/users/invite", "text", ""),
        ("/users/invite", None, ""),
        ("/projects", {"name": "x", "slug": "Not A Slug"}, "/slug"),
        ("/projects", {"name": ""}, "/name"),
        ("/support/tickets", {"subject": "x\ny", "description": "z"}, "/subject"),
        ("/support/tickets", {"subject": "x", "description": "y", "priority": "now"}, "/priority"),
    ],
)
async def test_the_pointer_names_the_field(
    console: Console, headers: Headers, path: str, body: object, pointer: str
) -> None:
    answer = await console.client.post(
        path, content=json.dumps(body), headers=headers | {"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert [error["pointer"] for error in problem_of(answer)["errors"]] == [pointer]


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Bearer a.b.c", "Basic dTpw", "Bearer", ""])
async def test_401_says_how_to_authenticate(console: Console, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await console.client.get("/users", headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES.values(), ids=str)
async def test_bad_credentials_are_refused_on_every_route(console: Console, route: Route) -> None:
    """On the public ones, too."""
    answer = await console.client.request(**route.request(), headers={"Authorization": "Bearer a.b.c"})
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "not_authenticated")


async def test_429_says_when_to_return(console_on: ConsoleOn, database_url: str) -> None:
    async with console_on(database_url, invitations_per_tenant_per_day=1) as console:
        tenant_id, owner = await console.tenant()
        await console.invite(tenant_id, owner)
        answer = await console.client.post(
            "/users/invite", json={"email": "a@example.com"}, headers=console.as_(owner, tenant_id)
        )
    assert (answer.status_code, problem_of(answer)["code"]) == (429, "limit_exceeded")
    assert int(answer.headers["retry-after"]) > 0


async def test_429_answers_who_has_created_many_projects(console_on: ConsoleOn, database_url: str) -> None:
    async with console_on(database_url, tenants_per_user_per_day=1) as console:
        _, owner = await console.tenant()
        answer = await console.client.post("/projects", json={"name": "Second"}, headers=console.as_(owner))
    assert (answer.status_code, problem_of(answer)["code"]) == (429, "limit_exceeded")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("given", ["12345678", "a.B-c_9" * 3, "x" * 64])
async def test_a_harmless_request_id_is_echoed(console: Console, given: str) -> None:
    answer = await console.client.get("/users", headers={"X-Request-Id": given})
    assert answer.headers.get_list("x-request-id") == [given]
    assert problem_of(answer)["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "short",
        "x" * 65,
        "12345678\n",
        "1234 5678",
        "12345678\r\nX: y",
        "\x1b[31m12345678",
        "é" * 8,
        "12345678,x",
    ],
)
async def test_a_harmful_request_id_is_replaced(console: Console, given: str) -> None:
    answer = await console.client.get("/users", headers=raw({}, "X-Request-Id", given.encode()))
    [request_id] = answer.headers.get_list("x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert problem_of(answer)["request_id"] == request_id


async def test_a_defect_is_answered_without_its_message(
    console: Console, headers: Headers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a secret of the inside")

    monkeypatch.setattr(console.served.facade.support, "contact", fail)
    with caplog.at_level(logging.ERROR, "hoc.http"):
        answer = await console.client.get("/support", headers=headers)
    document = problem_of(answer)
    assert (answer.status_code, document["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert document["request_id"] in caplog.text


async def test_the_service_refuses_with_problem_documents_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Outside the paths of the two mounted services."""
    monkeypatch.setenv("HOC_DATABASE_URL", database_url)
    monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
    app = create_app()
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://console.test") as client,
    ):
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/accounts", 404),
            ("GET", "/accounts/", 404),
            ("GET", "/accountsx/users", 404),
            ("POST", "/health", 405),
            ("GET", "/health/", 404),
            ("GET", "/accounts/users", 401),
        ):
            answer = await client.request(method, path)
            assert answer.status_code == status, path
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.json()["instance"] == path
        for path in ("/health", "/health/live", "/health/ready"):
            await until_available(client, path)
