"""What both embedded servers do: they outlive kills, keep data and URL, and run once per directory."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.command_line import kill, open_directory, wait_for_end, wait_until
from support.embedded import NATS, POSTGRES, Kind, owner, url_of

from hoc.embedded import DataDirectory, DataDirectoryInUseError

ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with open_directory() as path:
        yield path


@pytest.fixture(params=[POSTGRES, NATS], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def data(kind: Kind, directory: Path) -> Iterator[DataDirectory]:
    """The data directory that all tests of one server share; a server left over by a test is killed."""
    data = DataDirectory(directory / kind.name)
    yield data
    kill(*kind.processes(data.path))


async def test_only_its_user_with_its_password_is_accepted(kind: Kind, data: DataDirectory) -> None:
    with kind.embedded(data) as embedded:
        url = embedded.start()
        password = urlsplit(url).password
        assert password is not None
        assert len(password) >= 32
        await kind.store(url, "accepted")
        for login in ("hoc:postgres@", f"postgres:{password}@", ""):
            with kind.rejected():
                await kind.store(url.replace(f"hoc:{password}@", login), "rejected")
        assert await kind.stored(url) == "accepted"
    file = data.path / f"{kind.name}-password"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (password, 0o600)
    assert file.stat().st_uid == os.geteuid()


def test_a_clean_stop_leaves_no_process_and_no_lock(kind: Kind, data: DataDirectory) -> None:
    embedded = kind.embedded(data)
    assert embedded.running_url() is None
    url = embedded.start()
    [server] = kind.processes(data.path)
    family = [server, *server.children()]
    assert kind.embedded(DataDirectory(data.path)).running_url() == url
    embedded.stop()
    embedded.stop()
    assert kind.processes(data.path) == []
    wait_for_end(*family)
    assert kind is NATS or not (data.path / kind.pid_file).exists(), "nats-server leaves its own"
    assert embedded.running_url() is None
    with DataDirectory(data.path).lock():
        pass


def test_looking_for_a_server_creates_nothing(kind: Kind, tmp_path: Path) -> None:
    assert kind.embedded(DataDirectory(tmp_path / "data")).running_url() is None
    assert not (tmp_path / "data").exists()


async def test_a_killed_server_restarts_with_its_url_and_data(kind: Kind, data: DataDirectory) -> None:
    with kind.embedded(data) as embedded:
        url = embedded.start()
        await kind.store(url, "before the kill")
        kill(*kind.processes(data.path))
        if kind is NATS:  # the end of a child process may not have been noticed yet
            wait_until(lambda: not embedded.is_running())
        assert not embedded.is_running()
        assert embedded.start() == url
        assert embedded.is_running()
        assert await kind.stored(url) == "before the kill"
    assert kind.processes(data.path) == []


async def test_a_server_whose_owner_was_killed_is_taken_over(kind: Kind, data: DataDirectory) -> None:
    with owner(kind, data) as process:
        url = url_of(process)
        await kind.store(url, "from before")
        [orphan] = kind.processes(data.path)
    steps: list[str] = []
    with kind.embedded(data, steps.append) as embedded:
        assert embedded.start() == embedded.running_url() == url
        assert kind.processes(data.path) == [orphan]
        assert await kind.stored(url) == "from before"
    assert steps == [f"Taking over the {kind.label} that is still running"]
    assert kind.processes(data.path) == []


def test_a_data_directory_has_one_server(kind: Kind, data: DataDirectory) -> None:
    """Another owner, in this process or not, is refused; a second start by the owner changes nothing."""
    with owner(kind, data) as process:
        url = url_of(process)
        running = kind.processes(data.path)
        with pytest.raises(DataDirectoryInUseError, match=rf"in use by .*\(pid {process.pid}\).*--data-dir"):
            kind.embedded(data).start()
        assert kind.embedded(data).running_url() == url
        assert kind.processes(data.path) == running
    with kind.embedded(data) as embedded:
        with pytest.raises(DataDirectoryInUseError):
            kind.embedded(DataDirectory(data.path)).start()
        assert embedded.start() == url
        assert kind.processes(data.path) == running


def test_a_process_that_reuses_its_pid_is_left_alone(kind: Kind, data: DataDirectory) -> None:
    with owner(kind, data) as process:
        url_of(process)
        [server] = kind.processes(data.path)
    kill(server)
    pid_file = data.path / kind.pid_file
    # PostgreSQL would take a process of its own user for its predecessor.
    user = pid_file.stat().st_uid if ROOT else None
    with subprocess.Popen(["sleep", "600"], user=user) as bystander:
        try:
            pid_file.write_text(pid_file.read_text().replace(str(server.pid), str(bystander.pid), 1))
            assert kind.embedded(data).running_url() is None
            with kind.embedded(data) as embedded:
                assert embedded.is_running()
            assert bystander.poll() is None
        finally:
            bystander.kill()
