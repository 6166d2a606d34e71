"""A scrape works during outages, and every metric is documented."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from support.documents import ROOT

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.telemetry import scraping
from hoc.telemetry.metrics import OUTBOX_BACKLOG, OUTBOX_OLDEST_SECONDS, REGISTRY
from hoc.telemetry.scraping import MetricsEndpoint
from hoc.telemetry.workers import metrics_shared_by_workers


@pytest.fixture
async def nowhere() -> AsyncGenerator[Database]:
    """A `Database` on a server that is away."""
    database = open_database("postgresql://nobody@127.0.0.1:1/none", pool_size=7)
    yield database
    await database.close()


async def scraped(endpoint: MetricsEndpoint, accept: str = "*/*") -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=endpoint.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        return await client.get("/metrics", headers={"Accept": accept})


async def test_a_scrape_works_while_the_database_is_away(nowhere: Database) -> None:
    async def collect() -> None:
        OUTBOX_BACKLOG.set(12)

    answer = await scraped(MetricsEndpoint(nowhere, [collect]))
    assert answer.status_code == 200
    assert "hoc_outbox_backlog 12.0\n" in answer.text
    assert "hoc_database_pool_size 7.0\n" in answer.text


async def test_a_failing_collector_does_not_affect_the_others(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scraping, "_COLLECT_SECONDS", 0.5)
    OUTBOX_BACKLOG.set(34)

    async def away() -> None:
        raise UnavailableError("away")

    async def slow() -> None:
        await asyncio.Event().wait()

    async def broken() -> None:
        raise ValueError

    async def collect() -> None:
        OUTBOX_OLDEST_SECONDS.set(56)

    with caplog.at_level(logging.WARNING, "hoc.metrics"):
        answer = await scraped(MetricsEndpoint(nowhere, [away, slow, broken, collect]))
    assert answer.status_code == 200
    assert "hoc_outbox_backlog 34.0\n" in answer.text
    assert "hoc_outbox_oldest_seconds 56.0\n" in answer.text
    assert sorted(record.levelname for record in caplog.records) == ["ERROR", "WARNING", "WARNING"]


async def test_it_answers_in_openmetrics_on_request(nowhere: Database) -> None:
    answer = await scraped(MetricsEndpoint(nowhere), "application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def test_workers_share_an_empty_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with metrics_shared_by_workers():
        directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert list(directory.iterdir()) == []
        (directory / "counter_1.db").touch()
    assert not directory.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    page = (ROOT / "docs" / "how-to" / "observe.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    defined = {
        metric.name + ("_total" if metric.type == "counter" else ""): metric.type
        for metric in REGISTRY.collect()
    }
    assert {name: kind for name, (kind, _) in documented.items()} == defined
    labels = {name: names for name, (_, names) in documented.items() if names}
    assert labels == {
        "hoc_http_request_duration_seconds": {"method", "route", "status"},
        "hoc_http_requests_refused_total": {"reason"},
        "hoc_inbound_messages_total": {"outcome"},
        "hoc_webhook_attempts_total": {"outcome"},
    }
