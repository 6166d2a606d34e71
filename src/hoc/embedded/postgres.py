"""A real PostgreSQL beside the server, for a machine on which nothing is installed or configured."""

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import asyncpg
import psutil

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.postgres_files import PostgresFiles, discard_other_runtimes, prepare
from hoc.embedded.service import EmbeddedServiceError, free_port, service_directory

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
    "log_filename": "postgresql-%a.log",  # a week of logs, each weekday's replacing its predecessor
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    "log_error_verbosity": "terse",  # the detail of an error quotes rows, and with them e-mail addresses
}
_START_SECONDS: Final = 300  # a cluster that crashed under load replays its log first
_STOP_SECONDS: Final = 60
_PROBE_SECONDS: Final = 10
_TRIES: Final = 3  # a free port may be taken before PostgreSQL has it
_PORT_LINE: Final = 3  # of postmaster.pid, counted from zero
_STATUS_LINE: Final = 7


@dataclass(frozen=True, slots=True)
class _Postmaster:
    pid: int
    port: int
    ready: bool


class EmbeddedPostgres:
    """PostgreSQL 18 with its data in a data directory, listening on a free loopback port.

    Files are in `<data directory>/postgres`, the generated password in `<data directory>/postgres-password`
    (0600). Started by root, PostgreSQL runs as `nobody`; should that user be unable to traverse the data
    directory or its parents (`/root`, say), the files are in `/var/lib/hoc/<random>` and
    `<data directory>/postgres` is a link to them.

    The first start unpacks and initialises; interrupted at any point, the next one begins that step again.
    Existing data are never removed. A PostgreSQL that outlived its owner is taken over, or, if it does not
    answer, restarted.
    """

    def __init__(
        self,
        data_directory: DataDirectory,
        progress: Callable[[str], None] = lambda _step: None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server.

        Args:
            data_directory: where it lives.
            progress: called with one line before each step.
            settings: server settings on top of hoc's own, e.g. `{"synchronous_commit": "off"}`.
        """
        self._data = data_directory
        self._progress = progress
        self._settings = {**_SETTINGS, **(settings or {})}
        self._held = ExitStack()
        self._files: PostgresFiles | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        """Start it; `running_url` is where."""
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> str:
        """Bring PostgreSQL up, hold the data directory's lock, return the database's URL (password included).

        Called again, it brings a PostgreSQL that died back up at the same URL. Blocks, on a first start for
        seconds. Keep the object: the lock goes with it.

        Raises:
            DataDirectoryInUseError: another server has this data directory.
            DataDirectoryError: the data directory cannot be written.
            EmbeddedServiceError: PostgreSQL cannot be set up or started.
        """
        with ExitStack() as held:
            held.enter_context(self._data.lock())
            password = self._data.secret(_PASSWORD_FILE)
            directory = service_directory(self._data.path, "postgres")
            files = prepare(directory, password=password, progress=self._progress)
            port = self._adopt(files) or self._launch(files)
            if self._files is None:
                self._held = held.pop_all()
            self._files, self._port = files, port
        return self._url(port)

    def stop(self) -> None:
        """Stop what `start` started or took over, cleanly, and let go of the data directory."""
        files, self._files = self._files, None
        if files is not None:
            with self._held:
                self._shut_down(files)

    def is_running(self) -> bool:
        """Whether PostgreSQL is up on this data directory, whoever started it."""
        return self.running_url() is not None

    def running_url(self) -> str | None:
        """Return the database's URL if PostgreSQL is up on this data directory, whoever started it."""
        postmaster = _postmaster((self._data.path / "postgres").resolve() / "cluster")
        return self._url(postmaster.port) if postmaster is not None and postmaster.ready else None

    def _url(self, port: int) -> str:
        return f"postgresql://hoc:{self._data.secret(_PASSWORD_FILE)}@127.0.0.1:{port}/hoc"

    def _adopt(self, files: PostgresFiles) -> int | None:
        """Return the port of a PostgreSQL that serves this cluster already; stop one that does not answer."""
        postmaster = _postmaster(files.cluster)
        if postmaster is None:
            return None
        if postmaster.ready and _failure(self._url(postmaster.port)) is None:
            if self._files is None:
                self._progress("Taking over the PostgreSQL that is still running")
            return postmaster.port
        self._progress("Stopping a PostgreSQL that no longer answers")
        self._shut_down(files)
        return None

    def _launch(self, files: PostgresFiles) -> int:
        self._progress("Starting PostgreSQL")
        discard_other_runtimes(files)
        # A stale one. PostgreSQL would believe it if the process it names is another by now, or a zombie; a
        # predecessor's survivors are found without it, by their shared memory.
        (files.cluster / "postmaster.pid").unlink(missing_ok=True)
        port = self._port or free_port()
        tries = _TRIES
        patience = time.monotonic() + _STOP_SECONDS
        while (printed := self._start_once(files, port)) is not None:
            if "pre-existing shared memory block" in printed and time.monotonic() < patience:
                time.sleep(0.1)  # sessions of a postmaster that was killed end by themselves
                continue
            tries -= 1
            if not tries:
                raise EmbeddedServiceError(
                    f"The embedded PostgreSQL does not start:\n{printed.strip()}\n"
                    f"Its own log is in {files.cluster / 'log'}."
                )
            port = free_port()
        if failure := _failure(self._url(port)):
            self._shut_down(files)
            raise EmbeddedServiceError(
                f"The embedded PostgreSQL started but turned its user away ({failure}). If "
                f"{self._data.path / _PASSWORD_FILE} was changed or removed, put the former one back."
            )
        return port

    def _start_once(self, files: PostgresFiles, port: int) -> str | None:
        """Start the server; return None, or, if it did not come up, what it printed."""
        access = files.directory / "pg_hba.conf"
        access.write_text("host all hoc 127.0.0.1/32 scram-sha-256\n")
        access.chmod(0o644)
        settings = {**self._settings, "port": str(port), "hba_file": str(access)}
        flags = shlex.join(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        # Only the first lines come here; the rest goes to the logging collector's files.
        with (files.directory / "start.log").open("w+") as log:
            started = files.run(
                *("pg_ctl", "start", "--silent", "--wait", f"--timeout={_START_SECONDS}"),
                *("--pgdata", files.cluster, "--options", flags),
                output=log,
            )
            log.seek(0)
            return log.read() if started.returncode else None

    def _shut_down(self, files: PostgresFiles) -> None:
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
                f"The embedded PostgreSQL (pid {postmaster.pid}) does not stop; "
                f"its log is in {files.cluster / 'log'}."
            )


def _postmaster(cluster: Path) -> _Postmaster | None:
    """Return the live PostgreSQL of this cluster, by its postmaster.pid (PostgreSQL's miscadmin.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        # The command line, because root without CAP_SYS_PTRACE (in a container) may read little else.
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    if str(cluster) not in command:
        return None
    if len(lines) <= _STATUS_LINE:
        return _Postmaster(pid, port=0, ready=False)  # it has only just been started
    return _Postmaster(pid, int(lines[_PORT_LINE]), ready=lines[_STATUS_LINE].strip() == "ready")


def _failure(url: str) -> str | None:
    """Return why the database cannot be used, or None; its event loop runs beside the caller's, if any."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(asyncio.run, _probe(url)).result()


async def _probe(url: str) -> str | None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            connection = await asyncpg.connect(url, ssl=False)
            try:
                await connection.execute("SELECT 1")
            finally:
                await connection.close()
    except asyncpg.TooManyConnectionsError:
        return None  # busy, not broken
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return type(error).__name__
    return None
