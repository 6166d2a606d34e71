"""The data directory: its lock, its secrets, and the state of its server."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import pytest

from hoc.embedded import DataDirectory, DataDirectoryError, DataDirectoryInUseError, ServerState


def test_the_lock_has_one_holder_who_can_nest_it(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "new" / "data")
    with data.lock():
        with data.lock():
            pass
        refusal = rf"{data.path} is in use by another hoc server \(pid {os.getpid()}\)\. .*--data-dir"
        with pytest.raises(DataDirectoryInUseError, match=refusal), DataDirectory(data.path).lock():
            pass
    with DataDirectory(data.path).lock():
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import signal, sys\nfrom hoc.embedded import DataDirectory\n"
        "with DataDirectory(sys.argv[1]).lock():\n    print(flush=True)\n    signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with pytest.raises(DataDirectoryInUseError), DataDirectory(tmp_path).lock():
                pass
        finally:
            holder.kill()
    with DataDirectory(tmp_path).lock():
        pass


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    """Other users can traverse, but not read, a directory that root creates."""
    data = DataDirectory(tmp_path / "data")
    data.create()
    assert data.path.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_directory_that_cannot_be_created_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match=r"cannot be created .*--data-dir"):
        DataDirectory(tmp_path / "file" / "data").create()


def test_concurrent_callers_get_the_same_private_secret(tmp_path: Path) -> None:
    """The first call generates it; later calls generate none."""
    together = Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return DataDirectory(tmp_path).secret("key")

    with ThreadPoolExecutor(8) as askers:
        (secret,) = set(askers.map(ask, range(8)))
    assert len(secret) >= 32
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert DataDirectory(tmp_path).secret("pem", lambda: "generated") == "generated"
    assert DataDirectory(tmp_path).secret("pem", lambda: "not again") == "generated"


def test_a_published_server_is_found_until_it_is_removed(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    assert data.server() is None
    state = ServerState("http://127.0.0.1:8201", "postgresql://hoc:hidden@127.0.0.1/hoc", None, os.getpid())
    data.write_server(state)
    assert DataDirectory(tmp_path).server() == state
    assert "hidden" not in repr(state)
    assert (tmp_path / "server.json").stat().st_mode & 0o777 == 0o600
    data.remove_server()
    data.remove_server()
    assert data.server() is None


def test_a_dead_server_is_not_found(tmp_path: Path) -> None:
    """A process that began later may have its pid."""
    data = DataDirectory(tmp_path)
    with subprocess.Popen(["sleep", "600"]) as process:
        data.write_server(ServerState("http://127.0.0.1:8201", "postgresql://", None, process.pid))
        assert data.server() is not None
        before = psutil.Process(process.pid).create_time() - 60
        os.utime(tmp_path / "server.json", (before, before))
        assert data.server() is None  # a process that began after the server was published
        os.utime(tmp_path / "server.json")
        process.kill()
    assert data.server() is None


def test_an_unreadable_server_state_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("{}")
    assert DataDirectory(tmp_path).server() is None
