"""What the data directory promises its users: one holder, one secret, one truth about the server."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import pytest

from hoc.embedded import DataDirectory, DataDirectoryError, DataDirectoryInUseError, ServerState


def test_the_lock_admits_one_holder_and_may_be_nested_by_it(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "new" / "data")
    with data.lock():
        with data.lock():
            pass
        refusal = rf"{data.path} is in use by another hoc server \(pid {os.getpid()}\); .*--data-dir"
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


def test_a_new_directory_is_private_but_for_the_passage_root_must_leave(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.create()
    assert data.path.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match=r"cannot be created .*--data-dir"):
        DataDirectory(tmp_path / "file" / "data").create()


def test_a_secret_is_generated_once_however_many_ask_and_is_the_owners_alone(tmp_path: Path) -> None:
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


def test_a_published_server_is_known_until_it_is_withdrawn(tmp_path: Path) -> None:
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


def test_a_server_that_died_is_not_running_even_if_its_number_is_anothers(tmp_path: Path) -> None:
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


def test_an_unreadable_state_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("{}")
    assert DataDirectory(tmp_path).server() is None
