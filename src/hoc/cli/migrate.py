"""`hoc migrate`."""

import asyncio

import typer

from hoc.cli.configuration import Target, load_settings, running_target
from hoc.cli.errors import database_errors
from hoc.cli.progress import print_step
from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.migrations import NewerSchemaError, current_revision
from hoc.migrations import migrate as upgrade


def migrate(data: DataDirectory) -> None:
    """Migrate the configured or the running server's database; else start the embedded one for it."""
    target = running_target(load_settings(), data)
    if target is not None:
        _migrate(target)
        return
    with EmbeddedPostgres(data, print_step) as postgres:
        _migrate(Target(postgres.start()))


def _migrate(target: Target) -> None:
    migrate_database(target)
    revision = asyncio.run(current_revision(target.url, pooler=target.pooler))
    typer.echo(f"The database is at revision {revision}.")


def _name_driver(url: str) -> None:
    driver = url.partition("://")[0].partition("+")[2]
    if driver not in {"", "asyncpg"}:
        print_step(f"HOC_DATABASE_URL names the driver {driver}; hoc uses asyncpg instead")


def migrate_database(target: Target) -> None:
    """Upgrade to this version's schema; CommandError when the database refuses."""
    _name_driver(target.url)
    with database_errors(target.url):
        print_step("Migrating the database")
        try:
            asyncio.run(upgrade(target.url, pooler=target.pooler))
        except NewerSchemaError as newer:
            print_step(str(newer))
