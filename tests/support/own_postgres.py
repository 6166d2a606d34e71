"""A PostgreSQL of a test's own, which admits whom the test says, and PostgreSQL's own programs beside it."""

import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.embedded.postgres_files import PostgresFiles, prepare
from hoc.embedded.unprivileged import service_directory


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A running server. The role ``hoc`` with ``password`` owns the database ``hoc``."""

    files: PostgresFiles
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql://hoc:{self.password}@127.0.0.1:{self.port}/hoc"

    def admit(self, *lines: str) -> None:
        """Admit as these lines of pg_hba.conf say, from now on."""
        (self.files.directory / "pg_hba.conf").write_text("\n".join(lines) + "\n")
        self.run("pg_ctl", "reload", "--pgdata", self.files.cluster)

    def run(self, program: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs, as the server's user."""
        files = self.files
        return files.user.run(
            files.runtime / "bin" / program,
            *arguments,
            home=files.directory,
            environment={"LD_LIBRARY_PATH": str(files.runtime / "lib"), **variables},
        )


@contextmanager
def own_postgres(
    place: Path,
    *,
    set_up: Sequence[str] = (),
    prepare_files: Callable[[PostgresFiles], Mapping[str, str]] = lambda _files: {},
) -> Generator[OwnPostgres]:
    """Run a server below ``place`` during the block.

    ``set_up`` are a superuser's statements. ``prepare_files`` returns settings, and writes files for them.
    """
    data = DataDirectory(place)
    data.create()
    password = data.secret("postgres-password")
    with data.lock():
        files = prepare(
            service_directory(data.path, "postgres"), password=password, progress=lambda _step: None
        )
        if set_up:
            files.run("postgres", "--single", "-D", files.cluster, "postgres", stdin="\n".join(set_up) + "\n")
        settings = prepare_files(files)
    with EmbeddedPostgres(data, settings=settings) as postgres:
        port = int((postgres.running_url() or "").rpartition(":")[2].partition("/")[0])
        yield OwnPostgres(files, port, password)
