"""The directory in which `hoc serve` keeps what it owns: its lock, its secrets, where it can be reached."""

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
    """A data directory cannot be used; the message says why and what to do."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process holds the data directory's lock."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """Where a running server is to be found. The two URLs hold passwords and stay out of the repr."""

    http: str
    database_url: str = field(repr=False)
    nats_url: str | None = field(repr=False)
    pid: int


_SERVER_STATE = TypeAdapter(ServerState)


class DataDirectory:
    """One server's data directory; by default the platform's user data directory.

    Nothing is created before `create`, `lock`, `secret` or `write_server`. The directory is private (0700);
    made by root it can be traversed (0711), because embedded services run as an unprivileged user below it.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        """Name the directory; `~` is expanded, a relative path is taken from the working directory."""
        self.path = Path(path or platformdirs.user_data_dir("hoc")).expanduser().absolute()
        # One lock object per directory object, shared between threads, so that nested `lock()` calls count.
        self._lock = FileLock(self.path / "lock", thread_local=False)

    @property
    def mailbox(self) -> Path:
        """The Maildir that development mode delivers into."""
        return self.path / "mailbox"

    @property
    def development_key(self) -> Path:
        """The private key that signs development mode's tokens; `secret` creates it."""
        return self.path / "development-key.pem"

    def create(self) -> None:
        """Make sure that the directory exists and can be written.

        Raises:
            DataDirectoryError: it cannot be created or written by this user.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True)
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise DataDirectoryError(
                f"The data directory {self.path} cannot be created ({error.strerror}); "
                "choose another --data-dir."
            ) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataDirectoryError(
                f"The data directory {self.path} belongs to another user and cannot be written; "
                "choose another --data-dir."
            )

    @contextmanager
    def lock(self) -> Generator[None]:
        """Hold the directory for this process; the kernel lets go of it however the process ends.

        The same object may take it again while it holds it; the last one out releases.

        Raises:
            DataDirectoryInUseError: another server has it.
            DataDirectoryError: as for `create`.
        """
        self.create()
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise DataDirectoryInUseError(
                f"{self.path} is in use by another hoc server{self._holder()}; "
                "stop it or choose another --data-dir."
            ) from None
        try:
            _write_private(self._pid_file, str(os.getpid()))
            yield
        finally:
            self._lock.release()

    def secret(self, name: str, generate: Callable[[], str] = secrets.token_urlsafe) -> str:
        """Return the secret kept in the file `name` (0600), generating it on first use.

        Whoever comes first decides: concurrent callers, processes too, all read the same value.
        """
        self.create()
        path = self.path / name
        if not path.exists():
            _write_private(path, generate(), replace=False)
        return path.read_text()

    def write_server(self, state: ServerState) -> None:
        """Publish where this server is, for the commands that work beside it."""
        self.create()
        _write_private(self._server_file, _SERVER_STATE.dump_json(state).decode())

    def remove_server(self) -> None:
        """Withdraw what `write_server` published."""
        self._server_file.unlink(missing_ok=True)

    def server(self) -> ServerState | None:
        """Return the running server's state; None when there is none, or it died without withdrawing it."""
        try:
            state = _SERVER_STATE.validate_json(self._server_file.read_bytes())
            published = self._server_file.stat().st_mtime
        except (OSError, ValueError):  # absent, of another user, or of another version of hoc
            return None
        return state if _is_running(state.pid, since=published) else None

    @property
    def _server_file(self) -> Path:
        return self.path / "server.json"

    @property
    def _pid_file(self) -> Path:
        return (
            self.path / "lock.pid"
        )  # beside the lock: a contender's open() may truncate the lock file itself

    def _holder(self) -> str:
        try:
            return f" (pid {int(self._pid_file.read_text())})"
        except (OSError, ValueError):
            return ""


def _write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a 0600 file that is seen whole or not at all; without `replace` an existing one stays."""
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
    """Whether `pid` is a live process that was there at `since`: a later one merely got the same number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1
    except psutil.Error:
        return False
