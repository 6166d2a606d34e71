"""The embedded NATS: its configuration, its port and its lock."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from support.command_line import command_of, kill, nats_of
from support.embedded import NATS, owner, publish, url_of

from hoc.embedded import DataDirectory, EmbeddedNats, EmbeddedServiceError

STARTING = "Starting NATS"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    """A data directory that does not exist yet; a server left over by the test is killed."""
    data = DataDirectory(tmp_path / "data")
    yield data
    kill(*nats_of(data.path))


def config_of(data: DataDirectory) -> Path:
    return data.path / "nats" / "nats-server.conf"


def test_it_listens_on_one_loopback_port_only(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        port = urlsplit(embedded.start()).port
        [server] = nats_of(data.path)
        listening = [c.laddr for c in server.net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening == [("127.0.0.1", port)]


def test_ctrl_c_in_its_owners_terminal_does_not_reach_it(data: DataDirectory) -> None:
    with EmbeddedNats(data):
        [server] = nats_of(data.path)
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_its_files_are_private_and_its_log_has_no_password(data: DataDirectory) -> None:
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


def test_it_syncs_each_message_and_bounds_its_log(data: DataDirectory, tmp_path: Path) -> None:
    """A second nats-server with the same settings reports by its monitoring port what they mean."""
    with EmbeddedNats(data):
        program = command_of(nats_of(data.path)[0])[0]
    settings = json.loads(config_of(data).read_text())
    assert (settings["logfile_size_limit"], settings["logfile_max_num"]) == (8 * 2**20, 4)
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


def test_its_port_stays_until_another_program_takes_it(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.embedded.nats.RELEASE_SECONDS", 0.1)
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


def test_it_waits_for_a_killed_servers_port_and_lock(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
    with (
        socket.create_server(("127.0.0.1", urlsplit(url).port or 0)) as port,
        (data.path / "nats" / "lock").open() as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        releases = [threading.Timer(0.2, port.close), threading.Timer(0.4, lock.close)]
        for timer in releases:
            timer.start()
        with EmbeddedNats(data) as embedded:
            assert embedded.start() == url
        for timer in releases:
            timer.join()


def test_a_server_that_does_not_answer_is_replaced(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.embedded.nats_process._STOP_SECONDS", 0.2)
    monkeypatch.setattr("hoc.embedded.nats._PROBE_SECONDS", 0.5)
    with owner(NATS, data) as process:
        url = url_of(process)
        [orphan] = nats_of(data.path)
    orphan.send_signal(signal.SIGSTOP)
    steps: list[str] = []
    with EmbeddedNats(data, steps.append) as embedded:
        assert embedded.start() == url
        assert orphan not in nats_of(data.path)
    assert steps == ["Stopping a NATS that no longer answers", STARTING]


def test_a_store_has_one_server_even_without_its_pid_file(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("nats", "nats_process"):
        monkeypatch.setattr(f"hoc.embedded.{module}.RELEASE_SECONDS", 0.1)
    with owner(NATS, data) as process:
        url_of(process)
        running = nats_of(data.path)
    (data.path / NATS.pid_file).unlink()
    with pytest.raises(EmbeddedServiceError, match="Another nats-server works in"):
        EmbeddedNats(data).start()
    assert nats_of(data.path) == running


def test_its_own_process_is_stopped_without_the_pid_file(data: DataDirectory) -> None:
    with EmbeddedNats(data) as embedded:
        (data.path / NATS.pid_file).unlink()
        assert embedded.is_running()
    assert nats_of(data.path) == []


@pytest.mark.parametrize("torn", ["", '{\n  "host": "127.0.0.1",\n  "po'])
def test_files_of_an_interrupted_start_do_not_matter(data: DataDirectory, torn: str) -> None:
    data.create()
    config_of(data).parent.mkdir()
    for name in ("nats-server.conf", "nats-server.draft", "nats-server.pid", "lock"):
        (config_of(data).parent / name).write_text(torn)
    with EmbeddedNats(data) as embedded:
        assert embedded.running_url() == embedded.start()


async def test_an_orphan_gets_a_replaced_password(data: DataDirectory) -> None:
    """A server that outlived its owner is restarted at its port with the password of the new file."""
    with owner(NATS, data) as process:
        former = url_of(process)
    (data.path / "nats-password").unlink()
    with EmbeddedNats(data) as embedded:
        url = embedded.start()
        await publish(url, "with the new one")
    assert (urlsplit(url).port, url == former) == (urlsplit(former).port, False)


def test_a_failed_start_is_explained_and_leaves_no_lock(data: DataDirectory) -> None:
    data.create()
    store = data.path / "nats" / "jetstream"
    store.parent.mkdir()
    store.touch()
    with pytest.raises(EmbeddedServiceError, match=r"(?s)does not start:.*not a directory.*HOC_NATS_URL"):
        EmbeddedNats(data).start()
    store.unlink()
    with EmbeddedNats(data) as embedded:
        assert embedded.is_running()


def install_python_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Python is installed in `place`, and that there are no scripts anywhere else."""

    def get_path(*_: str) -> str:
        return str(place / "elsewhere")

    monkeypatch.setattr(sysconfig, "get_path", get_path)
    monkeypatch.setattr(sys, "executable", str(place / "python"))


def test_without_its_program_it_says_what_to_install(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_python_in(tmp_path, monkeypatch)
    with pytest.raises(EmbeddedServiceError, match=r"install hoc-accounts\[server\]"):
        EmbeddedNats(data).start()


def test_its_program_is_found_beside_the_interpreter(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert program is not None
    (tmp_path / "nats-server").symlink_to(program)
    install_python_in(tmp_path, monkeypatch)
    with EmbeddedNats(data) as embedded:
        assert embedded.is_running()
