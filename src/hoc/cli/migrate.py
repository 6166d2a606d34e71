"""`hoc migrate`."""

import asyncio

import typer

from hoc.cli.configuration import load_settings, running_database
from hoc.cli.errors import database_errors
from hoc.cli.progress import print_step
from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.migrations import NewerSchemaError, current_revision
from hoc.migrations import migrate as upgrade


def migrate(data: DataDirectory) -> None:
    """Migrate HOC_DATABASE_URL or the running server's database; else start the embedded one for it."""
    url = running_database(load_settings(), data)
    if url is not None:
        _migrate(url)
        return
    with EmbeddedPostgres(data, print_step) as postgres:
        _migrate(postgres.start())


def _migrate(url: str) -> None:
    migrate_database(url)
    typer.echo(f"The database is at revision {asyncio.run(current_revision(url))}.")


def _name_driver(url: str) -> None:
    driver = url.partition("://")[0].partition("+")[2]
    if driver not in {"", "asyncpg"}:
        print_step(f"HOC_DATABASE_URL names the driver {driver}; hoc uses asyncpg instead")


def migrate_database(url: str) -> None:
    """Upgrade to this version's schema; CommandError when the database refuses."""
    _name_driver(url)
    with database_errors(url):
        print_step("Migrating the database")
        try:
            asyncio.run(upgrade(url))
        except NewerSchemaError as newer:
            print_step(str(newer))
