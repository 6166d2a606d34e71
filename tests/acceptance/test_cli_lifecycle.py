"""`hoc serve` with a PostgreSQL of its own: started, stopped, killed, and started again."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import (
    HOC,
    command_of,
    data_directory,
    environment,
    hoc,
    postgres_of,
    printed_json,
    refusal,
    serving,
    wait_until,
)

STEPS = ["Starting PostgreSQL", "Migrating the database", "Stopping"]


@pytest.fixture(scope="module")
def first_start() -> Iterator[tuple[Path, list[str]]]:
    """Give a data directory after its first start and clean stop, and the steps that were printed."""
    with data_directory() as data:
        with serving(data) as server:
            assert server.get("/health/ready").status_code == 200
            assert server.stop() == 0
        yield data, server.steps


@pytest.fixture
def data(first_start: tuple[Path, list[str]]) -> Path:
    return first_start[0]


def test_the_first_start_prints_a_line_per_step_and_the_second_has_fewer(
    first_start: tuple[Path, list[str]], data: Path
) -> None:
    with serving(data) as again:
        assert again.get("/health/ready").status_code == 200
        again.stop()
    assert first_start[1] == ["Unpacking PostgreSQL 18", "Initialising the database cluster", *STEPS]
    assert again.steps == STEPS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_it_ends_with_0_and_leaves_nothing_running(data: Path, number: signal.Signals) -> None:
    with serving(data) as server:
        assert printed_json("info", "--json", "--data-dir", data)["http"] == server.url
        postgres = postgres_of(data)
        assert postgres
        assert server.stop(number) == 0
    assert postgres_of(data) == []
    assert not (data / "server.json").exists()
    stopped = hoc("info", "--json", "--data-dir", data)
    assert (stopped.stdout, stopped.returncode) == (
        '{"http": null, "database_url": null, "nats_url": null}\n',
        1,
    )


@pytest.mark.parametrize("step", ["Unpacking PostgreSQL 18", "Initialising the database cluster", STEPS[0]])
def test_told_to_stop_while_it_starts_it_ends_with_0_and_leaves_nothing_running(step: str) -> None:
    with data_directory() as data:
        command = [str(HOC), "serve", "--port", "0", "--data-dir", str(data)]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while process.stderr.readline().strip() != step:
                assert process.poll() is None
            process.terminate()
            process.stderr.read()
        assert process.returncode == 0
        assert postgres_of(data) == []


def test_what_demo_prints_works_as_pasted_and_outlives_the_server(data: Path) -> None:
    with serving(data) as server:
        assert any(line.strip() == f"curl -s {server.url}/health/ready" for line in server.output)
        assert any(
            line.strip().endswith(f"hoc demo --data-dir {data}") and line == line.rstrip()
            for line in server.output
        )
        tenant = printed_json("demo", "--json", "--data-dir", data)
        readable = hoc("demo", "--data-dir", data).stdout
        [curl] = [line for line in readable.splitlines() if "curl" in line]
        assert curl.endswith(f" {server.url}/accounts/users")
        assert server.get("/accounts/users", curl.split("'")[1].split()[-1]).json()["total"] == 24
    with serving(data) as server:
        assert server.get("/accounts/users", tenant["owner"]["token"]).json()["total"] == 24


def test_killed_it_starts_again_and_takes_over_its_postgres(data: Path) -> None:
    with serving(data) as server:
        tenant = printed_json("demo", "--json", "--data-dir", data)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    [left] = postgres_of(data)
    assert hoc("info", "--data-dir", data).returncode == 1  # server.json is there, its server is not
    with serving(data) as server:
        assert postgres_of(data) == [left]
        assert server.get("/accounts/users", tenant["owner"]["token"]).json()["total"] == 24
        assert server.stop() == 0
    assert server.steps[0] == "Taking over the PostgreSQL that is still running"
    assert postgres_of(data) == []


def test_a_postgres_that_is_killed_is_brought_back(data: Path) -> None:
    with serving(data) as server:
        tenant = printed_json("demo", "--json", "--data-dir", data)
        [postgres] = postgres_of(data)
        postgres.kill()
        wait_until(lambda: command_of(postgres) == [])
        wait_until(lambda: postgres_of(data))
        wait_until(lambda: server.get("/health/ready").status_code == 200)
        wait_until(lambda: server.get("/accounts/users", tenant["owner"]["token"]).status_code == 200)
        assert server.stop() == 0
    assert "PostgreSQL has died" in server.steps
    assert postgres_of(data) == []


def test_a_second_server_on_the_same_directory_is_refused_and_the_first_serves_on(data: Path) -> None:
    with serving(data) as server:
        line, code = refusal("serve", "--port", "0", "--data-dir", data)
        assert f"{data} is in use by another hoc server (pid {server.process.pid})" in line
        assert code == 1
        assert server.get("/health/ready").status_code == 200
        assert printed_json("info", "--json", "--data-dir", data)["http"] == server.url


def test_migrate_without_a_server_starts_the_database_for_it(data: Path) -> None:
    migrated = hoc("migrate", "--data-dir", data)
    assert (migrated.returncode, migrated.stderr.splitlines()) == (0, STEPS[:2])
    assert migrated.stdout.startswith("The database is at revision ")
    assert postgres_of(data) == []


def test_without_a_server_demo_says_how_to_start_one(data: Path) -> None:
    line, code = refusal("demo", "--data-dir", data)
    assert f"No server runs on {data}: start one with" in line
    assert code == 1
