"""A database and a NATS for each test."""

from collections.abc import Generator
from pathlib import Path

import pytest
from support.nats import NatsServer
from support.relays import Site

from hoc.database import Database


@pytest.fixture
def nats(tmp_path: Path) -> Generator[NatsServer]:
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def site(fresh_database_url: str, fresh_database: Database, nats: NatsServer) -> Site:
    return Site(fresh_database_url, nats, fresh_database)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses, which in production spare other services."""
    monkeypatch.setattr("hoc.events.relay.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("hoc.events.inbound.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("hoc.events.wakeups.RECONNECT_SECONDS", 0.05)
