"""Runs `hoc` as a user does: as a process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from support.forked import run

HOC = Path(sys.executable).parent / "hoc"

_STEPS = ("Starting NATS", "Migrating the database", "Distributing the tables")


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without `HOC_…`, plus `variables`. A server stops without delay."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}
    return kept | {"HOC_DRAIN_SECONDS": "0"} | variables


def hoc(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command and wait for its end."""
    return run([str(argument) for argument in arguments], environment(**variables), timeout_seconds=120)


def refusal(*arguments: str | Path, **variables: str) -> tuple[str, int]:
    """Run a command that must fail with one line on standard error. Returns the line and the exit code."""
    refused = hoc(*arguments, **variables)
    [line] = [line for line in refused.stderr.splitlines() if line not in _STEPS]
    assert refused.stdout == ""
    assert line.startswith("hoc: ")
    return line, refused.returncode


def printed_json(*arguments: str | Path, **variables: str) -> Any:
    """Run a command that must succeed and print JSON."""
    done = hoc(*arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@dataclass
class RunningServer:
    """A `hoc serve` that has printed its URL."""

    process: subprocess.Popen[str]
    data: Path
    url: str = ""
    output: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.get(self.url + path, headers=headers, timeout=30)

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(command_of(child))]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)


@contextmanager
def serving(data: Path, *arguments: str, **variables: str) -> Generator[RunningServer]:
    """Run `hoc serve` on a free port during the block. Processes that it leaves running are killed."""
    command = [str(HOC), "serve", "--port", "0", "--data-dir", str(data), *arguments]
    with subprocess.Popen(
        command,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        server = RunningServer(process, data)
        reader = threading.Thread(target=_collect, args=(process, server.steps))
        reader.start()
        try:
            _read_until_ready(server)
            yield server
        finally:
            if process.poll() is None:
                server.stop()
            _kill_session(process.pid)
            reader.join()


def _read_until_ready(server: RunningServer) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.output.append(line.rstrip("\n"))
        if "hoc serves on " in line:
            server.url = line.split()[3].removesuffix("/accounts")
        if "Ctrl-C" in line:
            return
    raise AssertionError(f"hoc serve ended before it was ready: {server.steps}")


def _collect(process: subprocess.Popen[str], steps: list[str]) -> None:
    assert process.stderr is not None
    steps.extend(line.rstrip("\n") for line in process.stderr)


def _kill_session(session: int) -> None:
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                process.kill()
        except (ProcessLookupError, psutil.Error):
            pass


@contextmanager
def data_directory() -> Generator[Path]:
    """Give a data directory that does not exist yet. Services that are left running in it are killed."""
    with open_directory() as place:
        yield place / "data"
        kill(*postgres_of(place / "data"), *nats_of(place / "data"))


@contextmanager
def open_directory() -> Generator[Path]:
    """Give a directory that every user may traverse, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="hoc-test-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        process.kill()
    wait_for_end(*processes)


def wait_for_end(*processes: psutil.Process) -> None:
    """Wait until all have ended; a zombie has."""
    wait_until(lambda: not any(command_of(process) for process in processes))


def postgres_of(data: Path) -> list[psutil.Process]:
    """Return the PostgreSQL that runs in a data directory."""
    return _processes_with(data / "postgres" / "cluster")


def nats_of(data: Path) -> list[psutil.Process]:
    """Return the NATS that runs in a data directory."""
    return _processes_with(data / "nats" / "nats-server.conf")


def _processes_with(argument: Path) -> list[psutil.Process]:
    """Return the processes with an argument, without children, which look the same right after a fork."""
    found = [process for process in psutil.process_iter() if str(argument) in command_of(process)]
    pids = {process.pid for process in found}
    return [process for process in found if _parent_of(process) not in pids]


def _parent_of(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def command_of(process: psutil.Process) -> list[str]:
    """Return the process's command line; an empty one if the process has ended or is a zombie."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until the condition holds; AssertionError after a minute."""
    for _ in range(1_200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("The condition did not hold within a minute.")
