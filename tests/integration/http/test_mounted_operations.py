"""A host mounts health and metrics, and its own spans carry hoc's routes."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import GatewayBackend
from hoc.server.mounted import health_app, metrics_app
from hoc.settings import Settings
from hoc.telemetry.metrics import EventMetrics

SECRET = "the-secret-of-this-gateway"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """An SDK for this test only."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return provider


@pytest.fixture
async def client(
    provider: TracerProvider, database_url: str, tmp_path: Path
) -> AsyncGenerator[httpx.AsyncClient]:
    assert provider is trace.get_tracer_provider()
    metrics = EventMetrics()
    settings = Settings(database_url=SecretStr(database_url), data_dir=tmp_path)
    accounts = Accounts(settings, authentication=GatewayBackend(secret=SECRET), observer=metrics)
    app = Starlette(
        routes=[
            Mount("/team", accounts.console_app),
            Mount("/hoc", health_app(accounts)),
            Mount("/ops", metrics_app(accounts, metrics)),
        ]
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host.test") as client:
        yield client
    await accounts.events._database.close()  # pyright: ignore[reportPrivateUsage]
    await accounts.database.close()


async def test_a_host_has_health_and_metrics(client: httpx.AsyncClient) -> None:
    for path in ("/hoc/health", "/hoc/health/live", "/hoc/health/ready", "/hoc/health/detailed"):
        assert (await client.get(path)).status_code == 200, path
    assert (await client.get("/hoc/health/detailed")).json()["database_connected"] is True
    shown = (await client.get("/ops/metrics")).text
    assert "hoc_database_pool_size 8.0" in shown
    assert "hoc_outbox_backlog" in shown


async def test_a_host_has_a_histogram_of_requests(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr(database_url), data_dir=tmp_path)
    metrics = EventMetrics()
    accounts = Accounts(settings, authentication=GatewayBackend(secret=SECRET), observer=metrics)
    uncounted = Accounts(settings, authentication=GatewayBackend(secret=SECRET))
    ops = metrics_app(accounts, metrics)
    metrics_app(accounts, metrics)  # counts no request twice

    async def appended(scope: Scope, receive: Receive, send: Send) -> None:
        """As Litestar mounts."""
        path = scope["path"].removeprefix("/appended") + "/"
        await accounts.console_app({**scope, "path": path, "root_path": ""}, receive, send)

    app = Starlette(
        routes=[
            Mount("/appended", appended),
            Mount("/counted", accounts.console_app),
            Mount("/counted-identity", accounts.identity_app),
            Mount("/of/{org}", accounts.console_app),
            Mount("/uncounted", uncounted.console_app),
            Mount("/ops", ops),
        ]
    )
    caller = {"X-Hoc-Gateway-Secret": SECRET, "X-Hoc-User-Id": "ada", "X-Hoc-Tenant-Id": "none"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host.test") as client:
        for mounted_at in ("/appended", "/counted", "/of/acme", "/uncounted"):
            for path in ("users/ada", "users/grace", "received-invitations", "nothing"):
                await client.get(f"{mounted_at}/{path}", headers=caller)
        wrong = caller | {"X-Hoc-Gateway-Secret": "another"}  # refused before a route is looked for
        await client.get("/counted/profile", headers=wrong)
        await client.get("/counted-identity/accounts/profile/ada", headers=caller)
        shown = (await client.get("/ops/metrics")).text
    await accounts.events._database.close()  # pyright: ignore[reportPrivateUsage]
    for each in (accounts, uncounted):
        await each.database.close()
    counted = dict(
        line.removeprefix("hoc_http_request_duration_seconds_count").rsplit(" ", 1)
        for line in shown.splitlines()
        if line.startswith("hoc_http_request_duration_seconds_count")
    )
    for template, status, count in (
        ("/counted/users/{user_id}", 403, 2.0),
        ("/appended/users/{user_id}", 403, 2.0),
        ("/counted/profile", 401, 1.0),
        ("/counted/received-invitations", 200, 1.0),
        ("/counted-identity/accounts/profile/{user_id}", 404, 1.0),
        ("/users/{user_id}", 403, 2.0),
    ):
        labels = f'{{method="GET",route="{template}",status="{status}"}}'
        assert float(counted[labels]) == count, counted
    assert float(counted['{method="GET",route="unmatched",status="404"}']) >= 2
    for invented in ("uncounted", "acme", "nothing", "grace"):
        assert invented not in "".join(counted)


async def test_the_hosts_span_is_named_by_hocs_route(
    client: httpx.AsyncClient, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    caller = {"X-Hoc-Gateway-Secret": SECRET, "X-Hoc-User-Id": "ada", "X-Hoc-Tenant-Id": "none"}
    with provider.get_tracer("host").start_as_current_span("GET /team", kind=SpanKind.SERVER):
        assert (await client.get("/team/users/somebody", headers=caller)).status_code == 403
    with provider.get_tracer("host").start_as_current_span("own work"):
        await client.get("/team/users/somebody", headers=caller)
    [named, kept] = exporter.get_finished_spans()
    assert named.name == "GET /team/users/{user_id}"
    assert dict(named.attributes or {}) == {"http.route": "/team/users/{user_id}"}
    assert kept.name == "own work"


def test_health_needs_no_metrics_library() -> None:
    """A host that installs hoc alone mounts its health."""
    code = (
        "import sys; from hoc.server.mounted import health_app;"
        "print([name for name in ('prometheus_client', 'psutil', 'uvicorn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
