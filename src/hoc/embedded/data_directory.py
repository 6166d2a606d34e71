"""The data directory of `hoc serve`: its lock, its secrets, and the address of the running server."""

import os
import secrets
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
import psutil
from filelock import FileLock, Timeout
from pydantic import TypeAdapter


class DataDirectoryError(RuntimeError):
    """The data directory cannot be used. The message says why and what to do."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process holds the data directory's lock."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The addresses of a running server. The two URLs contain passwords and stay out of the repr."""

    http: str
    database_url: str = field(repr=False)
    nats_url: str | None = field(repr=False)
    pid: int


_SERVER_STATE = TypeAdapter(ServerState)


class DataDirectory:
    """One server's data directory; by default the platform's user data directory.

    `create`, `lock`, `secret` and `write_server` create it, private (0700). If root creates it, other users
    can traverse it (0711), because PostgreSQL runs as an unprivileged user below it.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        """`~` is expanded; a relative path starts at the working directory."""
        self.path = Path(path or platformdirs.user_data_dir("hoc")).expanduser().absolute()
        # One lock object, shared between threads, so that `lock()` can be nested.
        self._lock = FileLock(self.path / "lock", thread_local=False)

    @property
    def mailbox(self) -> Path:
        """The Maildir of development mode."""
        return self.path / "mailbox"

    @property
    def development_key(self) -> Path:
        """The private key that signs development tokens; `DevelopmentKeys` creates it."""
        return self.path / "development-key.pem"

    def create(self) -> None:
        """Create the directory if it is missing; DataDirectoryError when this user cannot write it."""
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True)
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise DataDirectoryError(
                f"The data directory {self.path} cannot be created ({error.strerror}). "
                "Choose another --data-dir."
            ) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataDirectoryError(
                f"The data directory {self.path} belongs to another user and cannot be written. "
                "Choose another --data-dir."
            )

    @contextmanager
    def lock(self) -> Generator[None]:
        """Hold the directory's lock during the block. The kernel releases it when the process ends.

        Blocks of one object can be nested; the outermost releases the lock.

        Raises:
            DataDirectoryInUseError: another process holds the lock.
            DataDirectoryError: as for `create`.
        """
        self.create()
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise DataDirectoryInUseError(
                f"{self.path} is in use by another hoc server{self._holder()}. "
                "Stop that server, or choose another --data-dir."
            ) from None
        try:
            _write_private(self._pid_file, str(os.getpid()))
            yield
        finally:
            self._lock.release()

    def secret(self, name: str, generate: Callable[[], str] = secrets.token_urlsafe) -> str:
        """Return the secret in the file `name` (0600). The first call generates it.

        Concurrent callers, also in other processes, get the same value.
        """
        self.create()
        path = self.path / name
        if not path.exists():
            _write_private(path, generate(), replace=False)
        return path.read_text()

    def write(self, name: str, text: str) -> None:
        """Write the file `name` (0600)."""
        self.create()
        _write_private(self.path / name, text)

    def write_server(self, state: ServerState) -> None:
        """Publish this server's addresses for the other commands."""
        self.create()
        _write_private(self._server_file, _SERVER_STATE.dump_json(state).decode())

    def remove_server(self) -> None:
        """Remove what `write_server` published."""
        self._server_file.unlink(missing_ok=True)

    def server(self) -> ServerState | None:
        """Return the state of the server that runs on this directory, or None."""
        try:
            state = _SERVER_STATE.validate_json(self._server_file.read_bytes())
            published = self._server_file.stat().st_mtime
        except (OSError, ValueError):  # absent, another user's, or written by another version of hoc
            return None
        return state if _is_running(state.pid, since=published) else None

    @property
    def _server_file(self) -> Path:
        return self.path / "server.json"

    @property
    def _pid_file(self) -> Path:
        # Not in the lock file itself: another process's open() may truncate that.
        return self.path / "lock.pid"

    def _holder(self) -> str:
        try:
            return f" (pid {int(self._pid_file.read_text())})"
        except (OSError, ValueError):
            return ""


def _write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a 0600 file atomically. Without `replace`, an existing file stays."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(temporary).replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _is_running(pid: int, *, since: float) -> bool:
    """Whether `pid` is a live process that began before `since`; a later one has only the same number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1
    except psutil.Error:
        return False
