"""`hoc doctor`, `grants`, `backup` and `restore`, and what `hoc serve` refuses before it changes anything."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from support.command_line import (
    RunningServer,
    data_directory,
    environment,
    hoc,
    printed_json,
    refusal,
    serving,
)
from support.nats import NatsServer
from support.postgres import TestServer
from support.schema import schema_objects
from support.smtp import smtp_server
from support.waiting import until

from hoc.cus.account.L6_drivers.grants import grants_script


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with everything embedded."""
    with data_directory() as data, serving(data) as running:
        yield running


def findings(*arguments: str | Path, **variables: str) -> tuple[dict[str, tuple[str, str]], int]:
    """Each check's state and detail, and the exit code."""
    ran = hoc("doctor", "--json", *arguments, **variables)
    return {each["check"]: (each["state"], each["detail"]) for each in json.loads(ran.stdout)}, ran.returncode


def test_a_healthy_installation_has_no_finding(server: RunningServer) -> None:
    found, code = findings("--data-dir", server.data)
    assert {state for state, _ in found.values()} == {"ok"}
    assert set(found) == {
        *("settings", "database", "extension", "clock", "schema", "grants", "partitions", "events"),
        *("parked", "mail", "NATS"),
    }
    assert code == 0
    assert "ok       database     PostgreSQL 18" in hoc("doctor", "--data-dir", server.data).stdout


def test_a_wrong_finding_is_an_exit_code(tmp_path: Path) -> None:
    found, code = findings("--data-dir", tmp_path, HOC_DATABSE_URL="postgresql://127.0.0.1/hoc")
    assert (found["settings"][0], code) == ("wrong", 1)


def test_tables_are_distributed_on_citus_only(database_url: str) -> None:
    said, code = refusal("citus", "distribute", HOC_DATABASE_URL=database_url)
    assert ("This PostgreSQL has no extension citus" in said, code) == (True, 1)


async def test_a_backup_is_restored_into_another_database(
    server: RunningServer, postgres_server: TestServer, tmp_path: Path
) -> None:
    printed_json("demo", "--json", "--data-dir", server.data)
    file = tmp_path / "hoc.dump"
    source = str(printed_json("info", "--json", "--data-dir", server.data)["database_url"])
    # The server notes on an invitation what became of its mail.
    await until(lambda: query("SELECT NOT EXISTS (SELECT FROM account.invitation_mails)", source))
    made = hoc("backup", file, "--data-dir", server.data)
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    async with postgres_server.new_database(migrated=False) as target:
        restored = hoc("restore", file, "--data-dir", server.data, HOC_DATABASE_URL=target)
        assert restored.returncode == 0, restored.stderr
        assert await objects(target) == await objects(source)
        for table in ("users", "tenants", "memberships", "invitations"):
            rows = f"SELECT array_agg(t ORDER BY t) FROM account.{table} t"
            assert await query(f"SELECT ({rows})::text", target) == await query(
                f"SELECT ({rows})::text", source
            )


async def test_a_cut_off_backup_leaves_nothing_behind(
    server: RunningServer, postgres_server: TestServer, tmp_path: Path
) -> None:
    file = tmp_path / "hoc.dump"
    assert hoc("backup", file, "--data-dir", server.data).returncode == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # amid the rows, after the tables
    async with postgres_server.new_database(migrated=False) as target:
        refused = hoc("restore", file, "--data-dir", server.data, HOC_DATABASE_URL=target)
        assert refused.returncode == 1
        assert "was not restored, and nothing was changed: " in refused.stderr
        assert await query("SELECT to_regnamespace('account')", target) is None


def test_a_backup_to_a_device_leaves_the_device(server: RunningServer) -> None:
    done = hoc("backup", "/dev/full", "--data-dir", server.data)
    assert done.returncode == 1
    assert "The backup was not made: " in done.stderr
    assert Path("/dev/full").is_char_device()


async def objects(url: str) -> set[tuple[str, ...]]:
    """Kinds and names. PostgreSQL writes a restored CHECK constraint in other words."""
    return {tuple(line.split()[:3]) for line in await schema_objects(url)}


async def query(statement: str, url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_a_server_of_a_role_without_ddl_needs_no_data_directory(postgres_server: TestServer) -> None:
    """Nothing is embedded, so that the directory may be one that nobody can write."""
    async with postgres_server.new_database() as url:
        granted = hoc("grants", "--role", "hoc_application")
        assert granted.stdout == grants_script("hoc_application") + "\n"
        name = url.rpartition("/")[2]
        await execute(url, granted.stdout, f'ALTER ROLE hoc IN DATABASE "{name}" SET role TO hoc_application')
        with (
            smtp_server() as smtp,
            data_directory() as data,
            NatsServer(data) as nats,
            serving(
                Path("/proc/hoc"),
                "--no-migrate",
                HOC_DATABASE_URL=url.replace("postgresql://", "postgresql+psycopg://"),
                HOC_NATS_URL=nats.url,
                HOC_SMTP_URL=smtp.url,
                HOC_GATEWAY_SECRET="a secret of the gateway",
            ) as server,
        ):
            assert server.get("/health/ready").status_code == 200
            assert server.get("/accounts/users").status_code == 401
            assert "Migrating the database" not in server.steps
            assert server.stop() == 0


async def test_a_mistake_is_refused_before_anything_is_changed(
    postgres_server: TestServer, tmp_path: Path
) -> None:
    async with postgres_server.new_database(migrated=False) as url:
        line, code = refusal(
            *("serve", "--port", "0", "--data-dir", tmp_path),
            HOC_DATABASE_URL=url,
            HOC_MAIL_FROM="not an address",
        )
        assert "HOC_MAIL_FROM must be an address" in line
        assert code == 1
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT to_regnamespace('account')") is None
        await connection.close()


def test_an_embedded_database_for_real_callers_must_be_asked_for(tmp_path: Path) -> None:
    line, code = refusal("serve", "--port", "0", "--data-dir", tmp_path, HOC_GATEWAY_SECRET="s" * 40)
    assert "--embedded" in line
    assert code == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    line, _ = refusal("token", "--user-id", "ada", "--scope", "account:read", "--data-dir", tmp_path)
    assert "--scope account:read: there is no such scope; did you mean accounts:read?" in line


async def test_migrating_a_newer_schema_says_one_line(fresh_database_url: str, tmp_path: Path) -> None:
    await execute(fresh_database_url, "UPDATE account.alembic_version SET version_num = '9999'")
    ran = hoc(
        "migrate",
        "--data-dir",
        tmp_path,
        HOC_DATABASE_URL=fresh_database_url.replace("postgresql:", "postgresql+psycopg:"),
    )
    assert ran.returncode == 0
    driver, step, newer = ran.stderr.splitlines()
    assert "hoc uses asyncpg" in driver
    assert (step, "a newer version of hoc has made" in newer) == ("Migrating the database", True)
    assert ran.stdout == "The database is at revision 9999.\n"


@pytest.mark.parametrize(
    ("given", "command"), [(["PORT=9000"], "hoc serve --demo --port 9000"), ([], "hoc serve --demo")]
)
def test_make_serve_takes_a_port(given: list[str], command: str) -> None:
    makefile = Path(__file__).parents[2]
    ran = subprocess.run(
        ["make", "--dry-run", "--directory", makefile, "serve", *given],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert any(line.endswith(command) for line in ran.stdout.splitlines())
