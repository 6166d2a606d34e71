"""What every embedded service needs: an unprivileged account, a place for its files, a port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SYSTEM_DIRECTORY = Path("/var/lib/hoc")
"""Where root's services live when the data directory is out of an unprivileged user's reach."""

_UNFINISHED = "unfinished-"


class EmbeddedServiceError(RuntimeError):
    """An embedded service could not be set up or started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user a service runs as; None means the caller's own."""

    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Hand `path` to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(
        self,
        *command: str | Path,
        home: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        output: IO[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, in `home`, with nothing of the caller's environment.

        What it prints is in `stdout`, or goes to the file `output`; a command that leaves a daemon behind
        needs the latter, since the daemon keeps the pipe open.

        Raises:
            EmbeddedServiceError: the system does not run it.
        """
        try:
            return subprocess.run(  # noqa: S603 - the commands are the services' own programs, no shell is involved
                command,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                cwd=home,
                env={
                    "HOME": str(home),
                    "PATH": os.defpath,
                    "LC_ALL": "C",
                    "TZ": "UTC",
                    **(environment or {}),
                },
                input=stdin,
                stdout=output or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise EmbeddedServiceError(f"{command[0]} cannot be run ({error.strerror}).") from error


def service_account(files: Path) -> Account:
    """Choose whom a service runs as: the caller; for root, the owner of its `files`, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    if files.is_dir() and (owner := files.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def service_directory(data_directory: Path, name: str) -> Path:
    """Return the directory for a service's files, `data_directory/name`, creating it on first use.

    When root's data directory lies below a directory that other users cannot traverse (`/root`, say), the
    files are kept in `/var/lib/hoc/<random>` and `data_directory/name` is a symbolic link to it. The
    directory belongs to the caller; what the service must write goes into directories inside it, which are
    handed to its account.

    Raises:
        EmbeddedServiceError: the link's target has gone, or `/var/lib/hoc` cannot be made.
    """
    place = data_directory / name
    root = os.geteuid() == 0
    if place.is_symlink() and not place.is_dir():
        raise EmbeddedServiceError(
            f"{place} points to {place.readlink()}, which is not there. Put it back; "
            "or, to start empty, remove the link."
        )
    if not place.is_dir():
        if root and not _reachable(data_directory):
            place.symlink_to(_system_directory())
        else:
            place.mkdir()
        place.chmod(0o711 if root else 0o700)
    return place.resolve()


@contextmanager
def unfinished(directory: Path) -> Generator[Path]:
    """Give a directory to prepare files in; what is complete is renamed out of it, the rest is discarded."""
    scratch = Path(tempfile.mkdtemp(dir=directory, prefix=_UNFINISHED))
    scratch.chmod(0o711)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def discard_unfinished(directory: Path) -> None:
    """Remove what an interrupted `unfinished` left, as far as no process of that time still writes there."""
    for scratch in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def free_port() -> int:
    """Return a TCP port that nothing on the loopback interface listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        _, port = probe.getsockname()
    return int(port)


def _system_directory() -> Path:
    try:
        SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
        SYSTEM_DIRECTORY.chmod(0o755)
        return Path(tempfile.mkdtemp(dir=SYSTEM_DIRECTORY, prefix=""))
    except OSError as error:
        raise EmbeddedServiceError(
            "The data directory is out of reach of the unprivileged user that services run as, and "
            f"{SYSTEM_DIRECTORY} cannot be used instead ({error.strerror}). Choose a --data-dir that every "
            "user may traverse, or do not run hoc as root."
        ) from error


def _reachable(directory: Path) -> bool:
    """Whether every user may traverse `directory` and all above it."""
    path = directory.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
