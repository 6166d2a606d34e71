"""`hoc events` and `hoc relay`: with a server that started its own services, and on other databases."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.command_line import (
    HOC,
    RunningServer,
    data_directory,
    environment,
    hoc,
    printed_json,
    refusal,
    serving,
    wait_until,
)

LONG_AGO = datetime(2020, 1, 15, tzinfo=UTC)
WRITE = "INSERT INTO account.outbox (type, time, user_id, payload) VALUES ('user.created', $1, $2, $3)"
CURSORS = "SELECT json_object_agg(name, sequence) FROM account.event_cursors"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with data_directory() as data, serving(data, "--workers", "2") as running:
        yield running


def info(server: RunningServer) -> dict[str, str]:
    found: dict[str, str] = printed_json("info", "--json", "--data-dir", server.data)
    return found


def query(database_url: str, sql: str, *values: Any) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


def is_settled(server: RunningServer) -> bool:
    health = server.get("/health/detailed").json()
    return bool(health["nats_connected"]) and health["events_unpublished"] == 0


def parked(server: RunningServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = printed_json("events", "parked", "--json", "--data-dir", server.data)
    return found


def test_the_events_of_the_demo_are_published(server: RunningServer) -> None:
    printed_json("demo", "--json", "--data-dir", server.data)
    wait_until(lambda: is_settled(server))
    cursors = json.loads(query(info(server)["database_url"], CURSORS))
    assert cursors["nats"] == cursors["sequenced"] > 20


def test_an_event_that_is_too_large_is_parked_and_retried(server: RunningServer) -> None:
    url = info(server)["database_url"]
    assert hoc("events", "parked", "--data-dir", server.data).stdout == "Nothing is parked.\n"
    query(url, WRITE, datetime.now(UTC), "usr_large", json.dumps({"name": "x" * 2**21}))
    wait_until(lambda: parked(server))
    [item] = parked(server)
    assert (item["direction"], item["subject"], item["retry"]) == ("out", "user.created", False)
    assert "the server accepts 1048576" in item["reason"]
    assert server.get("/health/detailed").json()["events_parked"] == 1
    assert item["id"] in hoc("events", "parked", "--data-dir", server.data).stdout

    query(url, "UPDATE account.events SET payload = $1 WHERE event_id = $2", '{"name": "x"}', item["id"])
    retried = hoc("events", "retry", item["id"], "--data-dir", server.data)
    assert (retried.returncode, retried.stdout) == (0, "1 to be tried again.\n")
    wait_until(lambda: not parked(server))


def test_retry_needs_ids_that_are_parked(server: RunningServer) -> None:
    line, code = refusal("events", "retry", "--data-dir", server.data)
    assert (line, code) == ("hoc: Name the ids to retry, or use --all.", 1)
    line, code = refusal("events", "retry", "nothing", "--data-dir", server.data)
    assert (line, code) == ("hoc: Not parked: nothing. `hoc events parked` lists the ids.", 1)
    assert hoc("events", "retry", "--all", "--data-dir", server.data).stdout == "0 to be tried again.\n"


def test_old_months_are_dropped_once_they_are_published(server: RunningServer) -> None:
    url = info(server)["database_url"]
    query(url, WRITE, LONG_AGO, "usr_old", "{}")
    wait_until(lambda: query(url, "SELECT to_regclass('account.events_2020_01') IS NOT NULL"))
    wait_until(lambda: is_settled(server))
    pruned = hoc("events", "prune", "--keep-days", "400", "--data-dir", server.data)
    assert (pruned.returncode, pruned.stdout) == (0, "dropped events_2020_01\n")
    again = hoc("events", "prune", "--keep-days", "400", "--data-dir", server.data)
    assert again.stdout == "Nothing is that old.\n"


def test_a_month_with_unpublished_events_is_kept(fresh_database_url: str) -> None:
    """The option --unpublished drops it."""
    query(
        fresh_database_url,
        "CREATE TABLE account.events_2020_01 PARTITION OF account.events"
        " FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
    )
    query(
        fresh_database_url,
        "INSERT INTO account.events (sequence, position, type, time, payload)"
        " VALUES (1, 1, 'user.created', $1, '{}')",
        LONG_AGO,
    )
    on = {"HOC_DATABASE_URL": fresh_database_url}
    kept = hoc("events", "prune", "--keep-days", "400", **on)
    assert kept.stdout == "Nothing is that old.\n"
    assert "events_2020_01 is kept" in kept.stderr
    dropped = hoc("events", "prune", "--keep-days", "400", "--unpublished", **on)
    assert dropped.stdout == "dropped events_2020_01\n"


def test_a_relay_without_a_server_publishes_until_stopped(
    server: RunningServer, fresh_database_url: str, tmp_path: Path
) -> None:
    query(fresh_database_url, WRITE, datetime.now(UTC), "usr_ada", "{}")
    with subprocess.Popen(
        [HOC, "relay", "--data-dir", tmp_path],
        env=environment(HOC_DATABASE_URL=fresh_database_url, HOC_NATS_URL=info(server)["nats_url"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as relay:
        wait_until(
            lambda: json.loads(query(fresh_database_url, CURSORS) or "{}") == {"sequenced": 1, "nats": 1}
        )
        relay.send_signal(signal.SIGTERM)
        printed, said = relay.communicate(timeout=60)
    assert (relay.returncode, printed, said) == (0, "", "Relaying events; Ctrl-C stops it\n")


def test_a_relay_needs_a_nats_url(fresh_database_url: str, tmp_path: Path) -> None:
    line, code = refusal("relay", "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert code == 1
    assert "set HOC_NATS_URL" in line


def test_the_asyncapi_document_is_printed() -> None:
    assert printed_json("events", "asyncapi")["asyncapi"] == "3.0.0"
