"""`hoc backup` and `hoc restore`: the schema with all its data, in PostgreSQL's own format."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from hoc.cli.configuration import Target, load_settings, running_target
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.migrate import migrate_database
from hoc.cli.output import whole_file
from hoc.cli.progress import print_step
from hoc.cus.account.L6_drivers.tables import EXTENSIONS, SCHEMA
from hoc.database import create_engine
from hoc.embedded import DataDirectory, EmbeddedPostgres, EmbeddedServiceError
from hoc.embedded.postgres_tools import PostgresTools, is_dump
from hoc.postgres_url import PostgresUrl


def backup(data: DataDirectory, file: Path) -> None:
    """Dump the configured or the running server's database; else start the embedded one for it.

    The file appears when it is complete, and only its owner can read it.

    Raises:
        CommandError: there is nothing to back up, or the file cannot be written.
    """
    if running_target(load_settings(), data) is None and not (data.path / "postgres" / "cluster").is_dir():
        raise CommandError(f"There is nothing to back up: {data.path} has no database. Set HOC_DATABASE_URL.")
    with _database(data) as target:
        with database_errors(target.url):
            if not asyncio.run(_has_schema(target)):
                raise CommandError("There is nothing to back up: the database has not been migrated.")
        tools = PostgresTools.of(data)
        print_step(f"Backing up to {file}")
        with whole_file(file) as output:
            try:
                tools.dump(PostgresUrl.parse(target.url), SCHEMA, output)
            except EmbeddedServiceError as problem:
                raise CommandError(f"The backup was not made: {problem}") from None


def restore(data: DataDirectory, file: Path) -> None:
    """Restore into the database that `backup` would read, and migrate it.

    Raises:
        CommandError: this is no backup, or the database has the schema already.
    """
    try:
        if not is_dump(file):
            raise CommandError(f"{file} is not a backup that `hoc backup` wrote.")
    except OSError as problem:
        raise CommandError(f"{file} cannot be read: {problem.strerror}.") from None
    with _database(data) as target:
        url = PostgresUrl.parse(target.url)
        with database_errors(target.url):
            if asyncio.run(_has_schema(target)):
                raise CommandError(
                    f"The database {url.database} has hoc's data already, and nothing was changed."
                    " Restore into an empty database, or with another --data-dir."
                )
            # A dump of one schema leaves extensions out.
            for extension in EXTENSIONS:
                asyncio.run(_execute(target, f"CREATE EXTENSION IF NOT EXISTS {extension}"))
        tools = PostgresTools.of(data)
        print_step(f"Restoring {file}")
        with file.open("rb") as dumped:
            try:
                tools.restore(url, dumped)
            except EmbeddedServiceError as problem:
                raise CommandError(f"{file} was not restored, and nothing was changed: {problem}") from None
        migrate_database(target)


@contextmanager
def _database(data: DataDirectory) -> Generator[Target]:
    target = running_target(load_settings(), data)
    if target is not None:
        yield target
        return
    with EmbeddedPostgres(data, print_step) as postgres:
        yield Target(postgres.start())


async def _has_schema(target: Target) -> bool:
    engine = create_engine(target.url, pooled=False, pooler=target.pooler)
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(f"SELECT to_regnamespace('{SCHEMA}')")) is not None
    finally:
        await engine.dispose()


async def _execute(target: Target, statement: str) -> None:
    engine = create_engine(target.url, pooled=False, pooler=target.pooler)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()
