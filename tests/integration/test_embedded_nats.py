"""The embedded NATS, for real: started, killed, taken over, and asked for what it keeps."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from hoc.embedded import DataDirectory, DataDirectoryInUseError, EmbeddedNats, EmbeddedServiceError

STARTING = "Starting NATS"
TAKING_OVER = "Taking over the NATS that is still running"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    """Give a data directory that does not exist yet; whatever the test leaves running there is killed."""
    directory = DataDirectory(tmp_path / "data")
    yield directory
    left = nats_processes(directory)
    for process in left:
        process.kill()
    wait_until_gone(*left)


def config_of(data: DataDirectory) -> Path:
    return data.path / "nats" / "nats-server.conf"


def nats_processes(data: DataDirectory) -> list[psutil.Process]:
    config = str(config_of(data))
    return [process for process in psutil.process_iter() if config in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone, or a zombie
        return []


def wait_until_gone(*processes: psutil.Process) -> None:
    """Wait for processes that were told to end; a zombie, whose new parent has yet to notice, has ended."""
    wait_until(lambda: not any(command_of(process) for process in processes))


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not come about")


@asynccontextmanager
async def jetstream(url: str) -> AsyncGenerator[Any]:
    async def ignore(_error: Exception) -> None:
        """Leave it to what is raised."""

    client: Any = Client()  # which in part has no types
    try:
        await client.connect(url, allow_reconnect=False, error_cb=ignore)
        yield client.jetstream()
    finally:
        await client.close()


async def keep(url: str, message: bytes) -> None:
    """Have a stream keep it, and wait for the acknowledgement."""
    async with jetstream(url) as stream:
        await stream.add_stream(name="KEPT", subjects=["kept"])
        await stream.publish("kept", message)


async def kept(url: str) -> bytes:
    async with jetstream(url) as stream:
        message = await stream.get_last_msg("KEPT", "kept")
        return bytes(message.data)


@contextmanager
def owner(data: DataDirectory) -> Generator[str]:
    """Give the URL of an embedded NATS whose owner is a process of its own, and kill that at the end."""
    code = """
        import signal, sys
        from hoc.embedded import DataDirectory, EmbeddedNats
        nats = EmbeddedNats(DataDirectory(sys.argv[1]))
        print(nats.start(), flush=True)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(data.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def test_its_jetstream_serves_whoever_has_the_password_and_nobody_else(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
        password = urlsplit(url).password
        assert password is not None
        assert len(password) >= 32
        await keep(url, b"a message")
        assert await kept(url) == b"a message"
        for wrong in ("hoc:wrong@", f"nobody:{password}@", ""):
            with pytest.raises(NatsError, match=r"(?i)authorization"):
                await keep(url.replace(f"hoc:{password}@", wrong), b"another")
    secret = data.path / "nats-password"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == (password, 0o600)


def test_it_listens_on_one_port_of_the_loopback_interface(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        port = urlsplit(embedded.start()).port
        [server] = nats_processes(data)
        listening = [c.laddr for c in server.net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening == [("127.0.0.1", port)]


def test_ctrl_c_in_its_owners_terminal_does_not_reach_it(data: DataDirectory) -> None:
    with EmbeddedNats(data):
        [server] = nats_processes(data)
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_what_it_writes_is_private_and_its_log_has_no_password(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        password = urlsplit(embedded.start()).password
        assert password is not None
        with socket.create_connection(("127.0.0.1", urlsplit(embedded.start()).port or 0)) as connection:
            connection.sendall(f'CONNECT {{"user":"hoc","pass":"{password}!"}}\r\n'.encode())
            while connection.recv(4096):
                pass
    log = data.path / "nats" / "nats-server.log"
    assert "authentication error" in log.read_text()
    assert password not in log.read_text()
    assert config_of(data).stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_it_syncs_each_message_to_disk_and_bounds_its_log(data: DataDirectory, tmp_path: Path) -> None:
    with EmbeddedNats(data):
        program = command_of(nats_processes(data)[0])[0]
    settings = json.loads(config_of(data).read_text())
    assert (settings["logfile_size_limit"], settings["logfile_max_num"]) == (8 * 2**20, 4)
    # With the monitoring that it does without, to see what the server makes of the rest.
    monitored = tmp_path / "monitored.conf"
    changes = {"port": -1, "http_port": -1, "ports_file_dir": str(tmp_path)}
    monitored.write_text(json.dumps(settings | changes))
    with subprocess.Popen([program, "--config", monitored]) as server:
        try:
            varz = httpx.get(f"{monitoring_url(server, tmp_path)}/varz").json()
        finally:
            server.kill()
    assert varz["jetstream"]["config"]["sync_always"] is True


def monitoring_url(server: subprocess.Popen[bytes], directory: Path) -> str:
    ports: dict[str, Any] = {}
    while "monitoring" not in ports:
        assert server.poll() is None
        for file in directory.glob(f"*_{server.pid}.ports"):
            ports = json.loads(file.read_text() or "{}")
    return str(ports["monitoring"][0])


def test_a_clean_stop_leaves_no_process_and_lets_go_of_the_directory(data: DataDirectory) -> None:
    embedded = EmbeddedNats(data)
    assert embedded.running_url() is None
    assert not data.path.exists()
    url = embedded.start()
    assert EmbeddedNats(DataDirectory(data.path)).running_url() == url
    embedded.stop()
    embedded.stop()
    assert nats_processes(data) == []
    assert embedded.running_url() is None
    with DataDirectory(data.path).lock():
        pass


async def test_a_killed_one_comes_back_at_the_same_url_with_its_messages(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
        await keep(url, b"before the kill")
        [server] = nats_processes(data)
        server.kill()
        wait_until(lambda: not embedded.is_running())
        assert embedded.start() == url
        assert await kept(url) == b"before the kill"
    assert nats_processes(data) == []


def test_its_port_stays_until_something_else_has_taken_it(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.embedded.nats.LET_GO_SECONDS", 0.1)
    steps: list[str] = []
    urls: list[str] = []
    for _ in range(2):
        with EmbeddedNats(data) as embedded:
            urls.append(embedded.start())
    assert urls[0] == urls[1]
    port = urlsplit(urls[0]).port
    with socket.create_server(("127.0.0.1", port or 0)), EmbeddedNats(data, steps.append) as embedded:
        moved = embedded.start()
        assert urlsplit(moved).port != port
    assert steps == [STARTING, f"Port {port}, which NATS had, is taken: it moves to another"]
    with EmbeddedNats(data) as embedded:
        assert embedded.start() == moved


def test_what_a_killed_one_has_yet_to_let_go_of_is_waited_for(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
    with (
        socket.create_server(("127.0.0.1", urlsplit(url).port or 0)) as port,
        (data.path / "nats" / "lock").open() as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        letting_go = [threading.Timer(0.2, port.close), threading.Timer(0.4, lock.close)]
        for timer in letting_go:
            timer.start()
        with EmbeddedNats(data) as embedded:
            assert embedded.start() == url
        for timer in letting_go:
            timer.join()


async def test_one_whose_owner_was_killed_is_taken_over(data: DataDirectory) -> None:
    with owner(data) as url:
        await keep(url, b"from before")
        [orphan] = nats_processes(data)
    steps: list[str] = []
    with EmbeddedNats(data, steps.append) as embedded:
        assert embedded.start() == url
        assert nats_processes(data) == [orphan]
        assert await kept(url) == b"from before"
    assert steps == [TAKING_OVER]
    assert nats_processes(data) == []


def test_one_that_does_not_answer_is_replaced(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.embedded.nats_process._STOP_SECONDS", 0.2)
    monkeypatch.setattr("hoc.embedded.nats._PROBE_SECONDS", 0.5)
    with owner(data) as url:
        [orphan] = nats_processes(data)
    orphan.send_signal(signal.SIGSTOP)
    steps: list[str] = []
    with EmbeddedNats(data, steps.append) as embedded:
        assert embedded.start() == url
        assert orphan not in nats_processes(data)
    assert steps == ["Stopping a NATS that no longer answers", STARTING]


def test_one_data_directory_has_one_server(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        running = nats_processes(data)
        with pytest.raises(DataDirectoryInUseError):
            EmbeddedNats(DataDirectory(data.path)).start()
        assert nats_processes(data) == running
        embedded.start()
        assert nats_processes(data) == running


def test_a_store_has_one_server_even_when_the_pid_file_is_lost(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("nats", "nats_process"):
        monkeypatch.setattr(f"hoc.embedded.{module}.LET_GO_SECONDS", 0.1)
    with owner(data):
        running = nats_processes(data)
    (data.path / "nats" / "nats-server.pid").unlink()
    with pytest.raises(EmbeddedServiceError, match="Another nats-server works in"):
        EmbeddedNats(data).start()
    assert nats_processes(data) == running


def test_its_own_is_stopped_even_when_the_pid_file_is_lost(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        (data.path / "nats" / "nats-server.pid").unlink()
        assert embedded.is_running()
    assert nats_processes(data) == []


def test_a_process_that_has_its_former_number_is_left_alone(data: DataDirectory) -> None:
    with EmbeddedNats(data):
        pass
    with subprocess.Popen(["sleep", "600"]) as bystander:
        try:
            (data.path / "nats" / "nats-server.pid").write_text(str(bystander.pid))
            assert EmbeddedNats(data).running_url() is None
            with EmbeddedNats(data) as embedded:
                assert embedded.is_running()
            assert bystander.poll() is None
        finally:
            bystander.kill()


@pytest.mark.parametrize("torn", ["", '{\n  "host": "127.0.0.1",\n  "po'])
def test_what_a_broken_off_start_left_does_not_matter(data: DataDirectory, torn: str) -> None:
    data.create()
    config_of(data).parent.mkdir()
    for name in ("nats-server.conf", "nats-server.draft", "nats-server.pid", "lock"):
        (config_of(data).parent / name).write_text(torn)
    with EmbeddedNats(data) as embedded:
        assert embedded.running_url() == embedded.start()


async def test_one_that_outlived_its_owner_takes_up_a_replaced_password(data: DataDirectory) -> None:
    with owner(data) as former:
        pass
    (data.path / "nats-password").unlink()
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
        await keep(url, b"with the new one")
    assert (urlsplit(url).port, url == former) == (urlsplit(former).port, False)


def test_a_start_that_fails_says_why_and_lets_go_of_the_directory(data: DataDirectory) -> None:
    data.create()
    store = data.path / "nats" / "jetstream"
    store.parent.mkdir()
    store.touch()
    with pytest.raises(EmbeddedServiceError, match=r"(?s)does not start:.*not a directory.*HOC_NATS_URL"):
        EmbeddedNats(data).start()
    store.unlink()
    with EmbeddedNats(data) as embedded:
        assert embedded.is_running()


def leave_only(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python be installed in `place`, and no scripts anywhere else."""

    def get_path(*_: str) -> str:
        return str(place / "elsewhere")

    monkeypatch.setattr(sysconfig, "get_path", get_path)
    monkeypatch.setattr(sys, "executable", str(place / "python"))


def test_without_its_program_it_says_what_to_install(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave_only(tmp_path, monkeypatch)
    with pytest.raises(EmbeddedServiceError, match=r"install hoc\[server\]"):
        EmbeddedNats(data).start()


def test_its_program_is_found_beside_the_interpreter(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheels = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert wheels is not None
    (tmp_path / "nats-server").symlink_to(wheels)
    leave_only(tmp_path, monkeypatch)
    with EmbeddedNats(data) as embedded:
        assert embedded.is_running()
