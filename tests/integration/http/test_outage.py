"""The database gone: 503 on every route of the service, alive all the same, and back without a restart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from support.console import IDENTITY_MOUNT, MOUNT, new_email, problem_of
from support.outage import Proxy, proxied
from support.seed import add_tenants, add_users
from support.servers import development_keys

from hoc.asgi import create_app
from hoc.database import CONNECT_TIMEOUT_SECONDS, Database

HEALTH = {"/health": 503, "/health/detailed": 503, "/health/ready": 503, "/health/live": 200}

BODIES: dict[str, Any] = {
    "POST /projects": {"name": "Mine"},
    "PUT /users/{user_id}/role": {"role": "viewer"},
    "POST /users/invite": {"email": "ada@example.com"},
    "POST /invitations/{invitation_id}/accept": {"token": "ten_1.secret"},
    "PUT /profile": {"display_name": "Ada"},
    "POST /support/tickets": {"subject": "Help", "description": "Please."},
    "POST /tenant/ownership-transfer": {"to_user_id": "usr_1"},
    "POST /accounts/ensure": {"user_id": "usr_1", "email": "ada@example.com", "name": "Ada"},
    "PUT /accounts/profile/{user_id}": {"name": "Ada"},
    "PUT /accounts/preferences/{user_id}": {"theme": "dark"},
    "PUT /accounts/status/{user_id}": {"is_active": False},
}


@dataclass(frozen=True, slots=True)
class Service:
    """The whole service on a database behind a proxy, and a caller who may do anything."""

    client: httpx.AsyncClient
    proxy: Proxy
    headers: dict[str, str]

    async def every_operation(self) -> list[tuple[str, httpx.Request]]:
        """A request that reaches the database for each operation of both documents."""
        requests: list[tuple[str, httpx.Request]] = []
        values = {"email": "ada@example.com"} | dict.fromkeys(
            ("user_id", "project_id", "invitation_id"), "some_1"
        )
        for mount in (MOUNT, IDENTITY_MOUNT):
            document = (await self.client.get(f"{mount}/openapi.json")).json()
            for path, operations in document["paths"].items():
                for method in operations:
                    label = f"{method.upper()} {path}"
                    params = {"query": "ada"} if path.endswith("/search") else None
                    request = self.client.build_request(
                        method.upper(),
                        mount + path.format(**values),
                        json=BODIES.get(label),
                        params=params,
                        headers=self.headers,
                    )
                    requests.append((label, request))
        return requests

    async def until_healthy(self) -> None:
        """The pool notices dead connections by using them."""
        async with asyncio.timeout(60):
            while (await self.client.get("/health")).status_code != 200:
                pass


@pytest.fixture
async def service(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Service]:
    async with AsyncExitStack() as stack:
        direct = Database(fresh_database_url)
        stack.push_async_callback(direct.close)
        [owner] = await add_users(direct, 1)
        [tenant] = await add_tenants(direct, 1, {owner: "owner"})
        url, proxy = await stack.enter_async_context(proxied(fresh_database_url))
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("HOC_DEVELOPMENT", "true")
        monkeypatch.setenv("HOC_STATEMENT_TIMEOUT_MS", "300")
        app = create_app()
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://service.test")
        )
        token = development_keys(tmp_path).issue(owner, tenant, scopes=["accounts:admin"])
        yield Service(client, proxy, {"Authorization": f"Bearer {token}"})


async def assert_unavailable_everywhere(service: Service) -> None:
    for path, status in HEALTH.items():
        answer = await service.client.get(path)
        assert answer.status_code == status, path
        assert ("retry-after" in answer.headers) is (status == 503)
        word = "alive" if status == 200 else "unhealthy"
        assert answer.json()["status"] == word
    detailed = (await service.client.get("/health/detailed")).json()
    assert detailed["database_connected"] is False
    for label, request in await service.every_operation():
        answer = await service.client.send(request)
        assert answer.status_code == 503, (label, answer.text)
        assert problem_of(answer)["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) > 0


async def assert_everything_is_back(service: Service) -> None:
    await service.until_healthy()
    for path in HEALTH:
        assert (await service.client.get(path)).status_code == 200
    email = new_email()
    account = {"user_id": email, "email": email, "name": "Ada"}
    for label, request in await service.every_operation():
        assert (await service.client.send(request)).status_code < 500, label
    path = f"{IDENTITY_MOUNT}/accounts/ensure"
    assert (await service.client.post(path, json=account, headers=service.headers)).status_code == 201


async def test_a_database_that_refuses(service: Service) -> None:
    await service.until_healthy()
    for _ in range(2):
        await service.proxy.cut()
        await assert_unavailable_everywhere(service)
        await service.proxy.connect()
        await assert_everything_is_back(service)


async def test_a_database_that_is_silent(service: Service) -> None:
    """Packets vanish: nothing ever comes back, not even a refusal."""
    assert CONNECT_TIMEOUT_SECONDS <= 1
    await service.until_healthy()
    await service.proxy.silence()
    # Eight at once: each waits for a connection of its own.
    requests = await service.every_operation()
    for at in range(0, len(requests), 8):
        part = requests[at : at + 8]
        answers = await asyncio.gather(*(service.client.send(request) for _, request in part))
        for (label, _), answer in zip(part, answers, strict=True):
            assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable"), label
    for path, status in HEALTH.items():
        assert (await service.client.get(path)).status_code == status
    await service.proxy.cut()
    await service.proxy.connect()
    await assert_everything_is_back(service)


async def test_a_database_that_freezes(service: Service) -> None:
    """Its connections stay, and nothing comes through them."""
    await service.until_healthy()
    requests = await service.every_operation()
    service.proxy.freeze()
    try:
        for at in range(0, len(requests), 8):
            part = requests[at : at + 8]
            answers = await asyncio.gather(*(service.client.send(request) for _, request in part))
            for (label, _), answer in zip(part, answers, strict=True):
                assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable"), label
        assert (await service.client.get("/health")).status_code == 503
        assert (await service.client.get("/health/live")).status_code == 200
    finally:
        service.proxy.thaw()
    await assert_everything_is_back(service)


async def test_backends_that_are_terminated(service: Service, fresh_database_url: str) -> None:
    beside = Database(fresh_database_url, pool_size=1)
    try:
        await service.until_healthy()
        async with beside.reading() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        for _, request in await service.every_operation():
            answer = await service.client.send(request)
            if answer.status_code >= 500:
                assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable")
        await assert_everything_is_back(service)
    finally:
        await beside.close()
