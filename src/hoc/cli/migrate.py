"""`hoc migrate`."""

import asyncio

import typer

from hoc.cli.problems import database_problems
from hoc.cli.running import load_settings, running_database
from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.migrations import current_revision
from hoc.migrations import migrate as upgrade


def migrate(data: DataDirectory) -> None:
    """Migrate HOC_DATABASE_URL or the running server's database; else start the embedded one for it."""
    url = running_database(load_settings(), data)
    if url is not None:
        _migrate(url)
        return
    with EmbeddedPostgres(data, say) as postgres:
        _migrate(postgres.start())


def _migrate(url: str) -> None:
    migrate_database(url)
    typer.echo(f"The database is at revision {asyncio.run(current_revision(url))}.")


def migrate_database(url: str) -> None:
    """Upgrade to this version's schema, saying so; CommandError if the database does not let it."""
    with database_problems(url):
        say("Migrating the database")
        asyncio.run(upgrade(url))


def say(step: str) -> None:
    """Print a step of what is going on; results, unlike this, go to the standard output."""
    typer.echo(step, err=True)
