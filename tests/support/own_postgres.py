"""A PostgreSQL of a test's own, which admits whom the test says, and PostgreSQL's own programs beside it."""

import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.embedded.postgres_files import PostgresFiles, prepare
from hoc.embedded.service import free_port
from hoc.embedded.unprivileged import service_directory


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A running server. The role ``hoc`` with ``password`` owns the database ``hoc``."""

    files: PostgresFiles
    port: int
    password: str
    cluster: Path

    @property
    def url(self) -> str:
        return f"postgresql://hoc:{self.password}@127.0.0.1:{self.port}/hoc"

    def admit(self, *lines: str) -> None:
        """Admit as these lines of pg_hba.conf say, from now on."""
        (self.files.directory / "pg_hba.conf").write_text("\n".join(lines) + "\n")
        self.run("pg_ctl", "reload", "--pgdata", self.cluster)

    def control(self, action: str, *options: str) -> None:
        """Have pg_ctl do something. A server that it starts would keep a pipe of its output open."""
        with (self.files.directory / f"{action}.log").open("w+") as log:
            done = self.files.run(
                "pg_ctl", action, "--silent", "--wait", *options, "--pgdata", self.cluster, output=log
            )
            log.seek(0)
            assert done.returncode == 0, log.read()

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
    with EmbeddedPostgres(data, settings={"fsync": "off", **settings}) as postgres:
        port = int((postgres.running_url() or "").rpartition(":")[2].partition("/")[0])
        yield OwnPostgres(files, port, password, files.cluster)


@contextmanager
def standby_of(primary: OwnPostgres) -> Generator[OwnPostgres]:
    """Run a standby during the block. The primary must admit the superuser without a password."""
    files = primary.files
    cluster = files.directory / "standby"
    cluster.mkdir(mode=0o700)
    files.user.own(cluster)
    standby = OwnPostgres(files, free_port(), primary.password, cluster)
    copied = primary.run(
        *("pg_basebackup", "--pgdata", cluster, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        f"--dbname=postgresql://postgres@127.0.0.1:{primary.port}",
    )
    assert copied.returncode == 0, copied.stdout
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"port = {standby.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
            f"hba_file = '{files.directory / 'pg_hba.conf'}'\n"
        )
    standby.control("start")
    try:
        yield standby
    finally:
        standby.control("stop", "--mode=immediate")
