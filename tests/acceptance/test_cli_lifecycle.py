"""`hoc serve` with its own PostgreSQL and NATS: started, stopped, killed and restarted."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from nats.errors import Error as NatsError
from support.command_line import (
    HOC,
    command_of,
    data_directory,
    environment,
    hoc,
    nats_of,
    postgres_of,
    printed_json,
    refusal,
    serving,
    wait_until,
)
from support.embedded import jetstream

STARTING_NATS = "Starting NATS"
STEPS = ["Starting PostgreSQL", "Migrating the database", "Stopping"]


@pytest.fixture(scope="module")
def first_start() -> Iterator[tuple[Path, list[str]]]:
    """Give a data directory after its first start and clean stop, and the printed steps."""
    with data_directory() as data:
        with serving(data) as server:
            assert server.get("/health/ready").status_code == 200
            assert server.stop() == 0
        yield data, server.steps


def left_in(data: Path) -> list[psutil.Process]:
    """Return the services that run in a data directory."""
    return postgres_of(data) + nats_of(data)


def jetstream_answers(url: str) -> bool:
    """Whether JetStream answers a client."""

    async def ask() -> None:
        async with jetstream(url) as stream:
            await stream.account_info()

    try:
        asyncio.run(ask())
    except (NatsError, OSError):
        return False
    return True


@pytest.fixture
def data(first_start: tuple[Path, list[str]]) -> Path:
    return first_start[0]


def test_a_start_prints_a_line_per_step(first_start: tuple[Path, list[str]], data: Path) -> None:
    """The second start has fewer steps than the first."""
    with serving(data) as again:
        assert again.get("/health/ready").status_code == 200
        again.stop()
    assert first_start[1] == [
        STARTING_NATS,
        "Unpacking PostgreSQL 18",
        "Initialising the database cluster",
        *STEPS,
    ]
    assert again.steps == [STARTING_NATS, *STEPS]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_server_and_its_services(data: Path, number: signal.Signals) -> None:
    with serving(data) as server:
        assert printed_json("info", "--json", "--data-dir", data)["http"] == server.url
        assert (len(postgres_of(data)), len(nats_of(data))) == (1, 1)
        assert server.stop(number) == 0
    assert left_in(data) == []
    assert not (data / "server.json").exists()
    stopped = hoc("info", "--json", "--data-dir", data)
    assert (stopped.stdout, stopped.returncode) == (
        '{"http": null, "database_url": null, "nats_url": null}\n',
        1,
    )


@pytest.mark.parametrize(
    "step", ["Unpacking PostgreSQL 18", "Initialising the database cluster", STEPS[0], STARTING_NATS]
)
def test_a_signal_during_the_start_stops_everything(step: str) -> None:
    with data_directory() as data:
        command = [str(HOC), "serve", "--port", "0", "--data-dir", str(data)]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while process.stderr.readline().strip() != step:
                assert process.poll() is None
            process.terminate()
            process.stderr.read()
        assert process.returncode == 0
        assert left_in(data) == []


def test_the_curl_line_of_demo_works_when_pasted(data: Path) -> None:
    """The tenant and its tokens outlive the server."""
    with serving(data) as server:
        assert any(line.strip() == f"curl -s {server.url}/health/ready" for line in server.output)
        # Once there is a demo tenant, which another test may have made, its link takes the command's place.
        assert any(
            line.strip().endswith(f"hoc demo --data-dir {data}") or f"  {server.url}/sign-in#" in line
            for line in server.output
        )
        tenant = printed_json("demo", "--json", "--data-dir", data)
        readable = hoc("demo", "--data-dir", data).stdout
        [curl] = [line for line in readable.splitlines() if "curl" in line]
        assert curl.endswith(f" {server.url}/accounts/users")
        assert server.get("/accounts/users", curl.split("'")[1].split()[-1]).json()["total"] == 24
    with serving(data) as server:
        assert server.get("/accounts/users", tenant["owner"]["token"]).json()["total"] == 24


def test_a_restart_after_a_kill_takes_over_the_services(data: Path) -> None:
    with serving(data) as server:
        tenant = printed_json("demo", "--json", "--data-dir", data)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    [postgres], [nats] = postgres_of(data), nats_of(data)
    assert hoc("info", "--data-dir", data).returncode == 1  # server.json is left over
    with serving(data) as server:
        assert left_in(data) == [postgres, nats]
        assert server.get("/accounts/users", tenant["owner"]["token"]).json()["total"] == 24
        assert server.stop() == 0
    assert server.steps[:2] == [
        "Taking over the NATS that is still running",
        "Taking over the PostgreSQL that is still running",
    ]
    assert left_in(data) == []


def test_a_killed_postgresql_is_restarted(data: Path) -> None:
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
    assert left_in(data) == []


def test_a_killed_nats_is_restarted_on_the_same_port(data: Path) -> None:
    with serving(data, "--workers", "2") as server:
        url = printed_json("info", "--json", "--data-dir", data)["nats_url"]
        assert jetstream_answers(url)
        assert {worker.environ()["HOC_NATS_URL"] for worker in server.workers()} == {url}
        [nats] = nats_of(data)
        nats.kill()
        wait_until(lambda: nats_of(data) not in ([], [nats]))
        wait_until(lambda: jetstream_answers(url))
        assert printed_json("info", "--json", "--data-dir", data)["nats_url"] == url
        assert server.get("/health/ready").status_code == 200
        assert server.stop() == 0
    assert "NATS has died" in server.steps
    assert left_in(data) == []


def test_info_as_text_hides_the_password_of_nats(data: Path) -> None:
    with serving(data):
        url: str = printed_json("info", "--json", "--data-dir", data)["nats_url"]
        shown = hoc("info", "--data-dir", data).stdout
    parts = urlsplit(url)
    assert f"nats://***@127.0.0.1:{parts.port}\n" in shown
    assert parts.password is not None
    assert parts.password not in shown


def test_with_a_nats_url_no_nats_is_started(data: Path) -> None:
    configured = "nats://token@127.0.0.1:1"
    with serving(data, HOC_NATS_URL=configured):
        assert printed_json("info", "--json", "--data-dir", data)["nats_url"] == configured
        assert nats_of(data) == []
        shown = hoc("info", "--data-dir", data).stdout
    assert "nats://***@127.0.0.1:1\n" in shown


def test_a_failed_start_of_nats_is_explained(data: Path) -> None:
    store, aside = data / "nats" / "jetstream", data / "nats" / "aside"
    store.rename(aside)
    store.touch()
    try:
        failed = hoc("serve", "--port", "0", "--data-dir", data)
    finally:
        store.unlink()
        aside.rename(store)
    assert failed.returncode == 1
    assert "hoc: The embedded NATS does not start:" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert left_in(data) == []


def test_a_second_server_on_a_directory_is_rejected(data: Path) -> None:
    """The first one serves on."""
    with serving(data) as server:
        line, code = refusal("serve", "--port", "0", "--data-dir", data)
        assert f"{data} is in use by another hoc server (pid {server.process.pid})" in line
        assert code == 1
        assert server.get("/health/ready").status_code == 200
        assert printed_json("info", "--json", "--data-dir", data)["http"] == server.url


def test_migrate_starts_the_database_if_needed(data: Path) -> None:
    migrated = hoc("migrate", "--data-dir", data)
    assert (migrated.returncode, migrated.stderr.splitlines()) == (0, STEPS[:2])
    assert migrated.stdout.startswith("The database is at revision ")
    assert left_in(data) == []


def test_demo_without_a_server_says_how_to_start_one(data: Path) -> None:
    line, code = refusal("demo", "--data-dir", data)
    assert f"No server is running on {data}. Start one with" in line
    assert code == 1
