"""URLs of databases mean what they mean to libpq; passwords that change are read for each connection."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from sqlalchemy import text
from support.certificates import Authority
from support.command_line import hoc, open_directory, serving
from support.nats import NatsServer
from support.own_postgres import OwnPostgres, own_postgres
from support.waiting import until

from hoc.asgi import Accounts
from hoc.database import NotConnectedError, create_engine
from hoc.embedded.postgres_files import PostgresFiles
from hoc.migrations import migrate
from hoc.settings import Settings

ODD_PASSWORD: Final = "p@s/s:%+?&#ü"
STATE: Final = (
    "SELECT current_user, current_setting('application_name') LIKE 'billing%', current_setting('geqo'),"
    " (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), inet_server_addr() IS NULL"
)


@dataclass(frozen=True, slots=True)
class Site:
    """A PostgreSQL with TLS and a socket; ``names`` are what the URLs below name."""

    server: OwnPostgres
    names: Mapping[str, str]

    def url(self, pattern: str) -> str:
        return pattern.format(**self.names)


def _files(files: PostgresFiles) -> dict[str, str]:
    """Certificates, a socket directory and a password file, all of which the server's user reads."""
    place = files.directory
    authority = Authority.create(place / "root.crt")
    Authority.create(place / "other.crt")
    authority.certify("localhost", place / "server.crt", place / "server.key")
    authority.certify("certified", place / "client.crt", place / "client.key")
    (place / "socket").mkdir()
    (place / "passfile").touch(mode=0o600)
    (place / "passfile").write_text("# nobody\n*:*:*:kept:in a file\n")
    for name in ("server.key", "client.key", "socket", "passfile"):
        files.user.own(place / name)
    return {
        "ssl": "on",
        "ssl_cert_file": str(place / "server.crt"),
        "ssl_key_file": str(place / "server.key"),
        "ssl_ca_file": str(place / "root.crt"),
        "unix_socket_directories": str(place / "socket"),
    }


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    roles = [
        f"CREATE ROLE odd LOGIN PASSWORD '{ODD_PASSWORD}'",
        "CREATE ROLE certified LOGIN",
        "CREATE ROLE kept LOGIN PASSWORD 'in a file'",
        "CREATE ROLE rotating LOGIN PASSWORD 'first'",
        "GRANT rotating TO hoc WITH ADMIN OPTION",
        "ALTER ROLE hoc CREATEROLE",
    ]
    with (
        open_directory() as place,
        own_postgres(place / "data", set_up=roles, prepare_files=_files) as server,
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        closing(socket.socket()) as refusing,
    ):
        refusing.bind(("127.0.0.1", 0))
        server.admit(
            "hostssl all certified 127.0.0.1/32 cert",
            "hostssl all all 127.0.0.1/32 scram-sha-256",
            "local all all scram-sha-256",
        )
        files = server.files.directory
        yield Site(
            server,
            {
                "port": str(server.port),
                "at": f"hoc:{server.password}@127.0.0.1:{server.port}/hoc",
                "password": server.password,
                "odd": quote(ODD_PASSWORD, safe=""),
                "files": str(files),
                "socket": quote(str(files / "socket"), safe=""),
                # It accepts connections, because the kernel does, and never answers.
                "silent": f"127.0.0.1:{silent.getsockname()[1]}",
                "refusing": f"127.0.0.1:{refusing.getsockname()[1]}",
            },
        )


URLS: Final = {
    "require": "postgresql://{at}?sslmode=require",
    "disable": "postgresql://{at}?sslmode=disable",
    "verify-ca": "postgresql://{at}?sslmode=verify-ca&sslrootcert={files}/root.crt",
    "verify-ca, another's root": "postgresql://{at}?sslmode=verify-ca&sslrootcert={files}/other.crt",
    "require, another's root": "postgresql://{at}?sslmode=require&sslrootcert={files}/other.crt",
    "verify-full, another's name": "postgresql://{at}?sslmode=verify-full&sslrootcert={files}/root.crt",
    "verify-full": "postgresql://hoc:{password}@localhost:{port}/hoc?sslmode=verify-full&sslrootcert={files}/root.crt",
    "verify-full without a root": "postgresql://{at}?sslmode=verify-full",
    "system roots": "postgresql://hoc:{password}@localhost:{port}/hoc?sslrootcert=system",
    "system roots, another's name": "postgresql://{at}?sslrootcert=system",
    "a client's certificate": "postgresql://certified@127.0.0.1:{port}/hoc?sslmode=require&sslcert={files}/client.crt"
    "&sslkey={files}/client.key",
    "no client's certificate": "postgresql://certified@127.0.0.1:{port}/hoc?sslmode=require",
    "channel binding, if it can be": "postgresql://{at}?sslmode=require&channel_binding=prefer",
    "an odd password": "postgresql://odd:{odd}@127.0.0.1:{port}/hoc",
    "an odd password as a parameter": "postgresql://127.0.0.1:{port}/hoc?user=odd&password={odd}",
    "a wrong password": "postgresql://hoc:wrong@127.0.0.1:{port}/hoc",
    "no password": "postgresql://hoc@127.0.0.1:{port}/hoc",
    "a passfile": "postgresql://kept@127.0.0.1:{port}/hoc?passfile={files}/passfile",
    "a socket": "postgresql:///hoc?user=hoc&password={password}&port={port}&host={files}/socket",
    "a socket as the host": "postgresql://hoc:{password}@{socket}:{port}/hoc",
    "options and a name": "postgresql://{at}?options=-c%20geqo%3Doff&application_name=billing+1",
    "wrong options": "postgresql://{at}?options=-c%20nonsense%3D1",
    "another database": "postgresql://{at}x",
    "a refusing host, then it": "postgresql://hoc:{password}@{refusing},127.0.0.1:{port}/hoc",
    "hosts as parameters": "postgresql:///hoc?user=hoc&password={password}&host=127.0.0.1,127.0.0.1&port=1,{port}",
    "a silent host, then it": "postgresql://hoc:{password}@{silent},127.0.0.1:{port}/hoc?connect_timeout=2",
    "the first host refuses the login": "postgresql://hoc:wrong@127.0.0.1:{port},{refusing}/hoc",
    "read-write": "postgresql://{at}?target_session_attrs=read-write",
    "read-only": "postgresql://{at}?target_session_attrs=read-only",
    "a standby": "postgresql://{at}?target_session_attrs=standby",
    "rather a standby": "postgresql://{at}?target_session_attrs=prefer-standby",
}


async def state(url: str) -> str | None:
    """How hoc is connected by a URL, None if it is not."""
    engine = create_engine(url, pooled=False)
    try:
        async with engine.connect() as connection:
            row = (await connection.execute(text(STATE))).one()
    except NotConnectedError:
        return None
    finally:
        await engine.dispose()
    return "|".join({True: "t", False: "f"}.get(value, str(value)) for value in row)


def state_by_libpq(site: Site, url: str, **variables: str) -> str | None:
    """How psql is connected by the same URL."""
    options = ("--no-psqlrc", "--tuples-only", "--no-align")
    done = site.server.run("psql", *options, "--command", STATE, url, **variables)
    return None if done.returncode else done.stdout.strip()


@pytest.mark.parametrize("name", URLS)
async def test_a_url_means_what_it_means_to_libpq(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psql, which uses libpq, is connected in the same way, or refused as well."""
    roots = str(site.server.files.directory / "root.crt")  # in place of the operating system's
    monkeypatch.setenv("SSL_CERT_FILE", roots)
    url = site.url(URLS[name])
    assert await state(url) == state_by_libpq(site, url, SSL_CERT_FILE=roots)


async def test_a_silent_host_is_named_with_its_deadline(site: Site) -> None:
    """And so is each of the others."""
    engine = create_engine(site.url("postgresql://hoc@{silent},{refusing}/hoc"), pooled=False)
    with pytest.raises(NotConnectedError) as failed:
        await engine.connect()
    assert str(failed.value) == site.url("{silent}: no answer within 1 s; {refusing}: Connection refused")


async def test_a_password_file_is_read_for_each_connection(site: Site, tmp_path: Path) -> None:
    """The password is changed while the service runs, and the file after it."""
    file = tmp_path / "password"
    file.write_text("first\n")
    where = site.url("postgresql://rotating@127.0.0.1:{port}/hoc")
    settings = Settings(database_url=where, database_password_file=file)
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    assert await state(url) is not None
    engine = create_engine(site.server.url, pooled=False)
    async with engine.begin() as session:
        await session.execute(text("ALTER ROLE rotating PASSWORD 'second'"))
    assert await state(url) is None
    file.write_text("second")
    assert await state(url) is not None
    async with engine.begin() as session:
        await session.execute(text("ALTER ROLE rotating PASSWORD 'first'"))


async def test_a_callable_gives_each_connections_password(site: Site) -> None:
    """It is asked for every one: by the pool, the relay and the listener alike."""
    asked: list[str] = []

    async def password() -> str:
        asked.append(site.server.password)
        return site.server.password

    url = site.url("postgresql://hoc@127.0.0.1:{port}/hoc")
    await migrate(url, password=password)
    before = len(asked)
    accounts = Accounts(Settings(database_url=url, send_mail=False), database_password=password)
    async with accounts.lifespan():
        assert await accounts.readiness.check() is None
        await until(lambda: listeners(site))
    assert len(asked) > before + 1


async def listeners(site: Site) -> int:
    """The connections that listen for commits."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    engine = create_engine(site.server.url, pooled=False)
    async with engine.connect() as session:
        count: int = await session.scalar(text(statement))
    return count


async def test_a_callable_that_fails_is_no_connection(site: Site) -> None:
    def password() -> str:
        raise RuntimeError("no token")

    engine = create_engine(site.url("postgresql://hoc@127.0.0.1:{port}/hoc"), pooled=False, password=password)
    with pytest.raises(NotConnectedError, match="no token"):
        await engine.connect()


@pytest.fixture
def by_file(site: Site, tmp_path: Path) -> dict[str, str]:
    """Settings with TLS, a first host that is away, and the password in a file."""
    file = tmp_path / "password"
    file.write_text(site.server.password)
    where = (
        "postgresql://hoc@{refusing},localhost:{port}/hoc?sslmode=verify-full&sslrootcert={files}/root.crt"
    )
    return {"HOC_DATABASE_URL": site.url(where), "HOC_DATABASE_PASSWORD_FILE": str(file)}


@pytest.mark.parametrize("command", ["migrate", "import {}", "backup {}.backup", "doctor"])
async def test_a_command_connects_as_the_url_says(
    site: Site, tmp_path: Path, by_file: dict[str, str], command: str
) -> None:
    await migrate(site.server.url)
    file = tmp_path / "people.csv"
    file.write_text("user_id,email,name\nada,ada@example.com,Ada\n")
    done = hoc(*command.format(file).split(), "--data-dir", tmp_path / "data", **by_file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_serve_connects_as_the_url_says(tmp_path: Path, by_file: dict[str, str]) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        serving(tmp_path / "data", HOC_NATS_URL=nats.url, **by_file) as server,
    ):
        assert server.get("/health/ready").status_code == 200
