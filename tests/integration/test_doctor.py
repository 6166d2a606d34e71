"""`hoc doctor` names what is wrong, and `hoc backup` and `restore` refuse what would do harm."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from support.nats import NatsServer
from support.nats_keys import USER, NKey
from support.postgres import TestServer

from hoc.cli.backup import backup, restore
from hoc.cli.doctor import examine
from hoc.cli.errors import CommandError
from hoc.embedded import DataDirectory


@pytest.fixture
def dead_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port at which nobody answers, and at which mail and NATS are configured."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port: int = nobody.getsockname()[1]
        monkeypatch.setenv("HOC_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("HOC_NATS_URL", f"nats://127.0.0.1:{port}")
        yield port


async def examined(data: Path) -> dict[str, tuple[str, str]]:
    """Each check's state and detail."""
    findings = await asyncio.to_thread(examine, DataDirectory(data))
    return {each["check"]: (each["state"], each["detail"]) for each in findings}


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.mark.usefixtures("dead_port")
async def test_a_database_that_is_not_migrated_is_named(
    postgres_server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_server.new_database(migrated=False) as url:
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        found = await examined(tmp_path)
    assert found["schema"] == ("wrong", "the database has not been migrated: run `hoc migrate`")
    assert found["extension"][0] == found["mail"][0] == found["NATS"][0] == "wrong"
    assert found["database"][0] == found["clock"][0] == "ok"


async def test_missing_grants_backlog_and_partitions_are_named(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fresh_database_url.rpartition("/")[2]
    await execute(
        fresh_database_url,
        "GRANT USAGE ON SCHEMA account TO hoc_application",
        "GRANT SELECT ON ALL TABLES IN SCHEMA account TO hoc_application",
        "INSERT INTO account.outbox (type, time, user_id, payload)"
        " VALUES ('user.created', now() - interval '1 hour', 'a', '{}')",
        "DO $$ DECLARE month int; BEGIN FOR month IN 1..6 LOOP EXECUTE 'DROP TABLE account.events_'"
        " || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month),"
        " 'YYYY_MM');"
        " END LOOP; END $$",
        f'ALTER ROLE hoc IN DATABASE "{name}" SET role TO hoc_application',
    )
    monkeypatch.setenv("HOC_DATABASE_URL", fresh_database_url)
    found = await examined(tmp_path)
    assert "account.users INSERT" in found["grants"][1]
    assert found["grants"][0] == "wrong"
    assert found["events"][0] == found["partitions"][0] == "warning"
    await execute(
        fresh_database_url,
        "SET ROLE NONE",
        "DO $$ BEGIN EXECUTE 'DROP TABLE account.events_'"
        " || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'); END $$",
    )
    found = await examined(tmp_path)
    assert found["partitions"][0] == found["schema"][0] == "wrong"


async def test_an_old_server_and_a_wrong_clock_are_named(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search path of the database puts another version and another time before the server's own."""
    await execute(
        fresh_database_url,
        "CREATE SCHEMA other",
        "CREATE FUNCTION other.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
        " RETURN pg_catalog.clock_timestamp() - interval '1 hour'",
        "CREATE FUNCTION other.current_setting(name text) RETURNS text LANGUAGE sql"
        " RETURN CASE name WHEN 'server_version' THEN '14.20' WHEN 'server_version_num' THEN '140020'"
        " ELSE pg_catalog.current_setting(name) END",
        f'ALTER DATABASE "{fresh_database_url.rpartition("/")[2]}" SET search_path TO other, pg_catalog',
    )
    monkeypatch.setenv("HOC_DATABASE_URL", fresh_database_url)
    found = await examined(tmp_path)
    assert found["database"] == ("wrong", "PostgreSQL 14.20 is too old: hoc needs PostgreSQL 15 or later")
    state, detail = found["clock"]
    assert state == "wrong"
    assert int(detail.split()[1]) > 3_000
    assert found["schema"][0] == "ok"


async def test_parked_events_are_named(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await execute(
        fresh_database_url,
        "INSERT INTO account.dead_events (event_id, sequence, reason)"
        " VALUES (gen_random_uuid(), 1, 'too large')",
    )
    monkeypatch.setenv("HOC_DATABASE_URL", fresh_database_url)
    found = await examined(tmp_path)
    assert found["parked"] == ("warning", "1 events are parked: see `hoc events parked`")
    assert found["events"][0] == "ok"


async def test_what_is_not_configured_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await examined(tmp_path)
    assert (found["database"][0], found["NATS"][0], found["mail"][0]) == ("wrong", "warning", "ok")
    assert "development mode" in found["settings"][1]
    monkeypatch.setenv("HOC_GATEWAY_SECRET", "a secret of the gateway")
    found = await examined(tmp_path)
    assert found["mail"][0] == "warning"
    assert "authenticated as configured" in found["settings"][1]


async def test_a_nats_server_without_jetstream_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats = NatsServer(tmp_path / "nats")
    nats.start(jetstream=False)
    try:
        monkeypatch.setenv("HOC_NATS_URL", nats.url)
        state, detail = (await examined(tmp_path / "data"))["NATS"]
    finally:
        nats.stop()
    assert (state, "does not answer with JetStream" in detail) == ("wrong", True)


async def test_nats_is_asked_with_the_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, nats = NKey.new(USER), NatsServer(tmp_path / "nats")
    file = tmp_path / "user.nk"
    monkeypatch.setenv("HOC_NATS_URL", nats.url)
    monkeypatch.setenv("HOC_NATS_CREDENTIALS_FILE", str(file))
    assert "cannot be read" in (await examined(tmp_path / "data"))["settings"][1]
    file.write_text(key.seed)
    with nats.started(authorization={"users": [{"nkey": key.public}]}):
        assert (await examined(tmp_path / "data"))["NATS"] == ("ok", "answers, with JetStream")


async def test_an_unreachable_database_is_named_without_its_password(
    dead_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOC_DATABASE_URL", f"postgresql://hoc:hidden@127.0.0.1:{dead_port}/hoc")
    found = await examined(tmp_path)
    assert found["database"][0] == "wrong"
    assert "hidden" not in str(found)


async def test_a_wrong_setting_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOC_DATABSE_URL", "hidden")
    assert (await examined(tmp_path))["settings"][0] == "wrong"


def test_what_is_no_backup_is_refused_before_anything_starts(tmp_path: Path) -> None:
    data, file = DataDirectory(tmp_path / "data"), tmp_path / "hoc.dump"
    file.write_text("no dump")
    with pytest.raises(CommandError, match="is not a backup"):
        restore(data, file)
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        restore(data, tmp_path / "missing")
    with pytest.raises(CommandError, match="nothing to back up"):
        backup(data, file)
    assert not data.path.exists()
    assert file.read_text() == "no dump"


async def test_a_database_without_tables_is_not_backed_up(
    postgres_server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_server.new_database(migrated=False) as url:
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        with pytest.raises(CommandError, match="the database has not been migrated"):
            await asyncio.to_thread(backup, DataDirectory(tmp_path / "data"), tmp_path / "hoc.dump")
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_database_with_data_is_not_overwritten(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hoc.dump"
    file.write_bytes(b"PGDMP")
    monkeypatch.setenv("HOC_DATABASE_URL", fresh_database_url)
    with pytest.raises(CommandError, match="has hoc's data already, and nothing was changed"):
        await asyncio.to_thread(restore, DataDirectory(tmp_path / "data"), file)
