"""The embedded PostgreSQL, for a machine without one."""

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.postgres_files import PostgresFiles, discard_other_runtimes, prepare
from hoc.embedded.service import EmbeddedService, EmbeddedServiceError, free_port
from hoc.embedded.unprivileged import service_directory

_PASSWORD_FILE: Final = "postgres-password"  # noqa: S105 - the name of a file, not a password
_SETTINGS: Final = {
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",  # one per weekday, which replaces that of a week ago
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    # Statements and their errors quote what people wrote. Clients get the errors, and log them without that.
    "log_min_messages": "log",  # a level above errors: a bad value is quoted in the message itself
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",  # details quote rows, and the statement of a process that crashed
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
_START_SECONDS: Final = 300  # after a crash PostgreSQL replays its log
_STOP_SECONDS: Final = 60
_PROBE_SECONDS: Final = 10
_TRIES: Final = 3  # another program may take the port before PostgreSQL does
_PORT_LINE: Final = 3  # of postmaster.pid, counting from zero
_STATUS_LINE: Final = 7


@dataclass(frozen=True, slots=True)
class _Postmaster:
    pid: int
    port: int
    ready: bool


class EmbeddedPostgres(EmbeddedService):
    """PostgreSQL 18.

    In the data directory, its files are in `postgres`, its generated password in `postgres-password` (0600).
    When root starts it, it runs as `nobody`. If `nobody` cannot traverse the data directory, `postgres` is a
    link to `/var/lib/hoc/<random>`.

    The first start unpacks PostgreSQL and initialises the cluster. When a step is interrupted, the next start
    repeats it. Existing data are never removed.

    Args:
        data_directory: where its files are.
        progress: called with one line before each step.
        settings: PostgreSQL's settings on top of hoc's own, e.g. `{"synchronous_commit": "off"}`.
    """

    def __init__(
        self,
        data_directory: DataDirectory,
        progress: Callable[[str], None] = lambda _step: None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data_directory, progress)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._files: PostgresFiles | None = None
        self._port: int | None = None

    def is_running(self) -> bool:
        return self.running_url() is not None

    def running_url(self) -> str | None:
        postmaster = _postmaster((self._data.path / "postgres").resolve() / "cluster")
        return self._url(postmaster.port) if postmaster is not None and postmaster.ready else None

    def _url(self, port: int) -> str:
        return f"postgresql://hoc:{self._data.secret(_PASSWORD_FILE)}@127.0.0.1:{port}/hoc"

    def _bring_up(self) -> str:
        password = self._data.secret(_PASSWORD_FILE)
        directory = service_directory(self._data.path, "postgres")
        files = prepare(directory, password=password, progress=self._progress)
        port = self._take_over(files) or self._launch(files)
        self._files, self._port = files, port
        return self._url(port)

    def _shut_down(self) -> None:
        if self._files is not None:
            _stop(self._files)

    def _take_over(self, files: PostgresFiles) -> int | None:
        """Return the port of the PostgreSQL that runs already, or None. Stop one that does not answer."""
        postmaster = _postmaster(files.cluster)
        if postmaster is None:
            return None
        if postmaster.ready and _failure(self._url(postmaster.port)) is None:
            if self._held is None:
                self._progress("Taking over the PostgreSQL that is still running")
            return postmaster.port
        self._progress("Stopping a PostgreSQL that no longer answers")
        _stop(files)
        return None

    def _launch(self, files: PostgresFiles) -> int:
        self._progress("Starting PostgreSQL")
        discard_other_runtimes(files)
        # PostgreSQL would believe a stale file if its process id is another process's now, or a zombie's. It
        # finds sessions that outlived their postmaster without the file, by their shared memory.
        (files.cluster / "postmaster.pid").unlink(missing_ok=True)
        port = self._port or free_port()
        tries = _TRIES
        patience = time.monotonic() + _STOP_SECONDS
        while (printed := self._start_once(files, port)) is not None:
            if "pre-existing shared memory block" in printed and time.monotonic() < patience:
                time.sleep(0.1)  # the sessions of a killed postmaster end by themselves
                continue
            tries -= 1
            if not tries:
                raise EmbeddedServiceError(
                    f"The embedded PostgreSQL does not start:\n{printed.strip()}\n"
                    f"Its log is in {files.cluster / 'log'}."
                )
            port = free_port()
        if failure := _failure(self._url(port)):
            _stop(files)
            raise EmbeddedServiceError(
                f"The embedded PostgreSQL started but rejected its user ({failure}). If "
                f"{self._data.path / _PASSWORD_FILE} was changed or removed, restore it."
            )
        return port

    def _start_once(self, files: PostgresFiles, port: int) -> str | None:
        """Start the server. Returns None, or its output if it did not start."""
        access = files.directory / "pg_hba.conf"
        access.write_text("host all hoc 127.0.0.1/32 scram-sha-256\n")
        access.chmod(0o644)
        settings = {**self._settings, "port": str(port), "hba_file": str(access)}
        flags = shlex.join(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        # Receives the first lines only; the logging collector writes the rest to its own files.
        with (files.directory / "start.log").open("w+") as log:
            started = files.run(
                *("pg_ctl", "start", "--silent", "--wait", f"--timeout={_START_SECONDS}"),
                *("--pgdata", files.cluster, "--options", flags),
                output=log,
            )
            log.seek(0)
            return log.read() if started.returncode else None


def _stop(files: PostgresFiles) -> None:
    for mode in ("fast", "immediate"):
        if _postmaster(files.cluster) is None:
            return
        stopped = files.run(
            *("pg_ctl", "stop", "--silent", "--wait", f"--timeout={_STOP_SECONDS}", f"--mode={mode}"),
            *("--pgdata", files.cluster),
        )
        if stopped.returncode == 0:
            return
    postmaster = _postmaster(files.cluster)
    if postmaster is not None:
        raise EmbeddedServiceError(
            f"The embedded PostgreSQL (pid {postmaster.pid}) does not stop. "
            f"Its log is in {files.cluster / 'log'}."
        )


def _postmaster(cluster: Path) -> _Postmaster | None:
    """Return this cluster's live PostgreSQL as its postmaster.pid describes it (PostgreSQL's miscadmin.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        # In a container, root without CAP_SYS_PTRACE may read little else of a process.
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    if str(cluster) not in command:
        return None
    if len(lines) <= _STATUS_LINE:
        return _Postmaster(pid, port=0, ready=False)  # it is still starting
    return _Postmaster(pid, int(lines[_PORT_LINE]), ready=lines[_STATUS_LINE].strip() == "ready")


def _failure(url: str) -> str | None:
    """Return why the database cannot be used, or None."""
    # In a thread, because the caller may have an event loop of its own.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, _probe(url)).result()


async def _probe(url: str) -> str | None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            connection = await asyncpg.connect(url, ssl=False)
            try:
                await connection.execute("SELECT 1")
            finally:
                await connection.close()
    except asyncpg.TooManyConnectionsError:
        return None  # it works, but is busy
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return type(error).__name__
    return None
