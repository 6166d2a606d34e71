"""More requests than are admitted: some wait, others get 503; health needs no admission."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support.console import problem_of
from support.outage import proxied
from support.servers import development_keys

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L2_api.app import Api
from hoc.server import create_app

AT_ONCE = 3


class Busy:
    """An endpoint that answers once it is ``free``."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.now = self.most = 0

    async def answer(self, _request: Request) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.free.wait()
        self.now -= 1
        return Response(b"{}", media_type="application/json")


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
async def client(busy: Busy) -> AsyncGenerator[httpx.AsyncClient]:
    limiter: PerLoop[Limiter[None]] = PerLoop(lambda: Limiter(AT_ONCE, timeout_seconds=0.2))
    transport = httpx.ASGITransport(Api([Route("/", busy.answer, methods=["GET", "POST"])], limiter=limiter))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield http


async def test_a_request_that_waits_too_long_gets_503(busy: Busy, client: httpx.AsyncClient) -> None:
    requests = [asyncio.create_task(client.get("/")) for _ in range(10)]
    refused, _ = await asyncio.wait(requests, timeout=1)
    assert len(refused) == 10 - AT_ONCE
    for answer in (request.result() for request in refused):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert problem_of(answer)["code"] == "unavailable"
    assert busy.most == AT_ONCE
    busy.free.set()
    statuses = [(await request).status_code for request in requests]
    assert sorted(statuses) == [200] * AT_ONCE + [503] * (10 - AT_ONCE)


async def test_a_request_that_waits_a_little_is_answered(busy: Busy, client: httpx.AsyncClient) -> None:
    requests = [asyncio.create_task(client.get("/")) for _ in range(10)]
    await asyncio.sleep(0.05)
    busy.free.set()
    assert {(await request).status_code for request in requests} == {200}
    assert busy.most == AT_ONCE


async def test_a_slow_sender_is_admitted_last(busy: Busy, client: httpx.AsyncClient) -> None:
    rest = asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b"{"
        await rest.wait()
        yield b"}"

    busy.free.set()
    slow = [asyncio.create_task(client.post("/", content=slowly())) for _ in range(2 * AT_ONCE)]
    await asyncio.sleep(0.05)
    assert (await client.get("/")).status_code == 200
    assert not any(request.done() for request in slow)
    rest.set()
    assert {(await request).status_code for request in slow} == {200}


async def test_every_request_ends_its_admission(busy: Busy, client: httpx.AsyncClient) -> None:
    for _ in range(AT_ONCE):
        request = asyncio.create_task(client.get("/"))
        await asyncio.sleep(0.01)
        request.cancel()
    assert [(await client.get("/nothing")).status_code for _ in range(AT_ONCE + 1)] == [404] * (AT_ONCE + 1)
    busy.free.set()
    assert (await client.get("/")).status_code == 200


async def test_both_services_share_a_limiter_that_health_ignores(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOC_DEVELOPMENT", "true")
    monkeypatch.setenv("HOC_MAX_REQUESTS", "1")
    async with proxied(fresh_database_url) as (url, proxy):
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        transport = httpx.ASGITransport(create_app())
        token = development_keys(tmp_path).issue("usr_any", scopes=["accounts:admin"])
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            assert (await http.get("/api/v1/accounts/stats", headers=headers)).status_code == 200
            proxy.freeze()
            asking = asyncio.create_task(http.get("/api/v1/accounts/stats", headers=headers))
            await asyncio.sleep(0.1)
            refused = await http.get("/accounts/memberships", headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "overloaded" in problem_of(refused)["detail"]
            assert (await http.get("/health/live")).status_code == 200
            asking.cancel()
