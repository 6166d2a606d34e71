"""GET /metrics of real servers: counts are right, and clients cannot add series."""

import uuid
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from support.postgres import opened
from support.routes import OPERATIONS, SERVICES
from support.servers import ServerProcess, development_keys, server_process

from hoc.telemetry.scraping import MetricsEndpoint

ANSWERED = "hoc_http_request_duration_seconds_count"

Labels = dict[str, str]


def samples(server: ServerProcess) -> list[tuple[str, Labels, float]]:
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


def value(server: ServerProcess, name: str) -> float:
    """The sum of a metric's samples."""
    return sum(value for found, _, value in samples(server) if found == name)


def answered(server: ServerProcess) -> dict[str, int]:
    """How many requests were counted, by `METHOD route status`; not those of health and metrics."""
    return {
        f"{labels['method']} {labels['route']} {labels['status']}": int(value)
        for name, labels, value in samples(server)
        if name == ANSWERED and not labels["route"].startswith(("/health", "/metrics"))
    }


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Generator[ServerProcess]:
    with server_process(database_url, tmp_path) as server:
        yield server


def test_it_counts_the_requests_that_were_made(server: ServerProcess, tmp_path: Path) -> None:
    keys = development_keys(tmp_path)
    user_id = f"usr_{uuid.uuid4().hex}"
    account = {"user_id": user_id, "email": f"{user_id}@example.com", "name": "Somebody"}
    as_writer = {"Authorization": f"Bearer {keys.issue('service', scopes=['accounts:write'])}"}
    as_user = {"Authorization": f"Bearer {keys.issue(user_id)}"}
    with httpx.Client(base_url=server.url) as client:
        for _ in range(2):
            client.post("/api/v1/accounts/ensure", json=account, headers=as_writer)
        for _ in range(3):
            client.get(f"/api/v1/accounts/profile/{user_id}", headers=as_user)
        for _ in range(4):
            client.put("/accounts/users/somebody/role", json={"role": "owner"})
        client.get("/accounts/profile", headers=as_user)
        client.delete("/accounts/profile", headers=as_user)
        client.get("/accounts/profile", headers={"Authorization": "Bearer x"})
        client.get("/accounts/users/somebody", headers={"Authorization": "Bearer x"})
        client.get("/accounts/nothing")
        client.get("/nothing")
    assert answered(server) == {
        "POST /api/v1/accounts/ensure 201": 1,
        "POST /api/v1/accounts/ensure 200": 1,
        "GET /api/v1/accounts/profile/{user_id} 200": 3,
        "PUT /accounts/users/{user_id}/role 401": 4,
        "GET /accounts/profile 403": 1,
        "DELETE /accounts/profile 405": 1,
        "GET /accounts/profile 401": 1,
        "GET unmatched 401": 1,
        "GET unmatched 404": 2,
    }


def test_every_route_is_counted_by_its_template(server: ServerProcess) -> None:
    asked: set[str] = set()
    with httpx.Client(base_url=server.url) as client:
        for label in (*OPERATIONS, *(f"GET {mount}/openapi.json" for mount in SERVICES)):
            method, _, template = label.partition(" ")
            path = template.replace("{", "").replace("}", "")
            asked.add(f"{label} {client.request(method, path).status_code}")
    assert set(answered(server)) == asked


def test_clients_cannot_add_a_series(database_url: str, tmp_path: Path) -> None:
    def ask(client: httpx.Client, anything: str) -> None:
        for path in (
            f"/{anything}",
            f"/accounts/{anything}",
            f"/accounts/users/{anything}",
            f"/api/v1/accounts/by-email/{anything}@example.com",
            f"/metrics/{anything}",
        ):
            client.get(path, params={anything: anything}, headers={"X-Request-Id": anything})
        client.get(f"/accounts/users/{anything}", headers={"Authorization": f"Bearer {anything}"})

    # Other tests have webhook endpoints in this database; the outcomes of sending to them are series, too.
    with server_process(database_url, tmp_path, webhooks="false") as server:
        with httpx.Client(base_url=server.url) as client:
            ask(client, "first")
            client.get("/metrics")
            before = {(name, frozenset(labels.items())) for name, labels, _ in samples(server)}
            for _ in range(500):
                ask(client, uuid.uuid4().hex)
        after = {(name, frozenset(labels.items())) for name, labels, _ in samples(server)}
        assert after == before
        assert answered(server)["GET unmatched 404"] == 3 * 501


def test_it_shows_the_process_and_only_documented_metrics(server: ServerProcess) -> None:
    found = {name: value for name, labels, value in samples(server) if not labels}
    assert found["process_resident_memory_bytes"] > 0
    assert {name.partition("_")[0] for name in found} == {"hoc", "process"}
    assert not any(name.endswith("_created") for name in found)


async def test_it_shows_the_connections_in_use(database_url: str) -> None:
    async with opened(database_url, pool_size=3) as database:
        transport = httpx.ASGITransport(Starlette(routes=MetricsEndpoint(database).routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            async with database.transaction(), database.transaction():
                busy = (await client.get("/metrics")).text
            idle = (await client.get("/metrics")).text
    assert "hoc_database_pool_size 3.0\n" in busy
    assert "hoc_database_pool_checked_out 2.0\n" in busy
    assert "hoc_database_pool_checked_out 0.0\n" in idle


def test_a_scrape_of_one_process_shows_all_processes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(shared))
    with server_process(database_url, tmp_path) as one:
        with server_process(database_url, tmp_path, pool_size="3") as other:
            for server, times in ((one, 3), (other, 4)):
                for _ in range(times):
                    httpx.get(f"{server.url}/accounts/profile")
            for server in (one, other):
                assert answered(server) == {"GET /accounts/profile 401": 7}
                assert value(server, "hoc_database_pool_size") == 11
                assert value(server, "hoc_events_published_total") == 0
            assert len(processes(one)) == 2
            other.kill()
        # The counts of the ended process stay; its pool is gone.
        assert answered(one) == {"GET /accounts/profile 401": 7}
        assert value(one, "hoc_database_pool_size") == 8
        assert len(processes(one)) == 1


def processes(server: ServerProcess) -> set[str]:
    return {labels["pid"] for name, labels, _ in samples(server) if name == "process_cpu_seconds_total"}
