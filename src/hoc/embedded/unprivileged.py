"""Running a service as an unprivileged user, and the directory of its files."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hoc.embedded.service import EmbeddedServiceError

SYSTEM_DIRECTORY = Path("/var/lib/hoc")
"""Holds root's services when other users cannot traverse the data directory."""


@dataclass(frozen=True, slots=True)
class SystemUser:
    """The user that a service runs as; None stands for the caller's."""

    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Make this user the owner of `path`."""
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
        """Run a command as this user, in `home`, without the caller's environment.

        Its output is in `stdout`, or goes to the file `output`. A command that leaves a daemon behind needs
        `output`, because the daemon would keep the pipe open.

        Raises:
            EmbeddedServiceError: the system cannot run the command.
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


def service_user(files: Path) -> SystemUser:
    """Return the user that a service runs as: the caller; for root the owner of `files`, else `nobody`."""
    if os.geteuid() != 0:
        return SystemUser()
    if files.is_dir() and (owner := files.stat()).st_uid != 0:
        return SystemUser(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return SystemUser(nobody.pw_uid, nobody.pw_gid)


def service_directory(data_directory: Path, name: str) -> Path:
    """Return the directory of a service's files, `data_directory/name`. The first call creates it.

    It belongs to the caller. When the caller is root, and other users cannot traverse a directory above it
    (`/root`, say), it is a symbolic link to `/var/lib/hoc/<random>`.

    Raises:
        EmbeddedServiceError: the link's target is missing, or `/var/lib/hoc` cannot be created.
    """
    place = data_directory / name
    root = os.geteuid() == 0
    if place.is_symlink() and not place.is_dir():
        raise EmbeddedServiceError(
            f"{place} is a link to {place.readlink()}, which does not exist. Restore that directory, "
            "or remove the link to start without data."
        )
    if not place.is_dir():
        if root and not _is_open_to_all(data_directory):
            place.symlink_to(_system_directory())
        else:
            place.mkdir()
        place.chmod(0o711 if root else 0o700)
    return place.resolve()


def _system_directory() -> Path:
    try:
        SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
        SYSTEM_DIRECTORY.chmod(0o755)
        return Path(tempfile.mkdtemp(dir=SYSTEM_DIRECTORY, prefix=""))
    except OSError as error:
        raise EmbeddedServiceError(
            "The unprivileged user that services run as cannot traverse the data directory, and "
            f"{SYSTEM_DIRECTORY} cannot be used instead ({error.strerror}). Choose a --data-dir that every "
            "user may traverse, or do not run hoc as root."
        ) from error


def _is_open_to_all(directory: Path) -> bool:
    """Whether every user may traverse `directory` and all directories above it."""
    path = directory.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
