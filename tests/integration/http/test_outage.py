"""Without its database the service is alive, answers 503 on every route, and recovers without a restart."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.console import HOST, problem_of
from support.outage import TERMINATE_OTHERS, Proxy, proxied
from support.routes import ROUTES, Route
from support.seed import add_tenants, add_users, execute
from support.servers import development_keys
from support.waiting import until

from hoc.database import Database
from hoc.database.connecting import CONNECT_TIMEOUT_SECONDS
from hoc.server import create_app

OUTAGES = {"unavailable", "outcome_unknown"}
HEALTH = {"/health": 503, "/health/detailed": 503, "/health/ready": 503, "/health/live": 200}


@dataclass(frozen=True, slots=True)
class Service:
    """The whole service on a database behind a proxy, and a caller who may do anything."""

    client: httpx.AsyncClient
    proxy: Proxy
    headers: dict[str, str]

    def every_operation(self) -> list[tuple[Route, httpx.Request]]:
        """A request for each operation of both services that gets as far as the database."""
        return [
            (route, self.client.build_request(**route.request(), headers=self.headers))
            for route in ROUTES.values()
        ]

    async def assert_unavailable(self, *, at_once: int) -> None:
        """Send every request, ``at_once`` of them at a time: each may wait for a connection of its own."""
        requests = self.every_operation()
        for start in range(0, len(requests), at_once):
            part = requests[start : start + at_once]
            answers = await asyncio.gather(*(self.client.send(request) for _, request in part))
            for (route, _), answer in zip(part, answers, strict=True):
                assert (answer.status_code, problem_of(answer)["code"] in OUTAGES) == (503, True), route
                assert int(answer.headers["retry-after"]) > 0
        for path, status in HEALTH.items():
            answer = await self.client.get(path)
            assert (answer.status_code, "retry-after" in answer.headers) == (status, status == 503), path
            assert answer.json()["status"] == ("alive" if status == 200 else "unhealthy")
        detailed = (await self.client.get("/health/detailed")).json()
        assert detailed["database_connected"] is False

    async def until_healthy(self) -> None:
        """Ask until healthy: the pool notices a dead connection when it uses it."""

        async def is_healthy() -> bool:
            return {(await self.client.get(path)).status_code for path in HEALTH} == {200}

        await until(is_healthy)


@pytest.fixture
async def service(
    fresh_database_url: str, fresh_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Service]:
    [owner] = await add_users(fresh_database, 1)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner"})
    async with AsyncExitStack() as stack:
        url, proxy = await stack.enter_async_context(proxied(fresh_database_url))
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("HOC_DEVELOPMENT", "true")
        monkeypatch.setenv("HOC_INVITATION_LINKS", "true")
        monkeypatch.setenv("HOC_DOMAINS", "true")
        monkeypatch.setenv("HOC_SCIM", "true")
        monkeypatch.setenv("HOC_WEBHOOKS", "true")
        monkeypatch.setenv("HOC_DNS_SERVERS", "127.0.0.1:9")  # where nobody answers
        monkeypatch.setenv("HOC_STATEMENT_TIMEOUT_MS", "300")
        app = create_app()
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=HOST))
        token = development_keys(tmp_path).issue(owner, tenant, scopes=["accounts:admin"])
        yield Service(client, proxy, {"Authorization": f"Bearer {token}"})


async def assert_everything_is_back(service: Service) -> None:
    await service.until_healthy()
    for route, request in service.every_operation():
        assert (await service.client.send(request)).status_code < 500, route
    ensure = ROUTES["POST /api/v1/accounts/ensure"]
    name = uuid.uuid4().hex
    ensured = ensure.request({"user_id": name, "email": f"{name}@example.com"})
    assert (await service.client.request(**ensured, headers=service.headers)).status_code == 201


async def test_a_database_that_refuses_is_back_without_a_restart(service: Service) -> None:
    await service.until_healthy()
    for _ in range(2):
        await service.proxy.cut()
        await service.assert_unavailable(at_once=1)
        await service.proxy.connect()
        await assert_everything_is_back(service)


async def test_a_silent_database_is_back_without_a_restart(service: Service) -> None:
    """Packets vanish: nothing ever comes back, not even a refusal."""
    assert CONNECT_TIMEOUT_SECONDS <= 1
    await service.until_healthy()
    await service.proxy.silence()
    await service.assert_unavailable(at_once=8)
    await service.proxy.cut()
    await service.proxy.connect()
    await assert_everything_is_back(service)


async def test_a_frozen_database_is_back_without_a_restart(service: Service) -> None:
    """Its connections stay, and nothing comes through them."""
    await service.until_healthy()
    service.proxy.freeze()
    try:
        await service.assert_unavailable(at_once=8)
    finally:
        service.proxy.thaw()
    await assert_everything_is_back(service)


async def test_terminated_backends_are_replaced(service: Service, fresh_database: Database) -> None:
    await service.until_healthy()
    await execute(fresh_database, TERMINATE_OTHERS)
    for _, request in service.every_operation():
        answer = await service.client.send(request)
        if answer.status_code >= 500:
            assert (answer.status_code, problem_of(answer)["code"] in OUTAGES) == (503, True)
    await assert_everything_is_back(service)
