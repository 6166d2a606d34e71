"""`hoc citus distribute`."""

import asyncio

import typer

from hoc.cli.configuration import load_settings, require_database
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L6_drivers.citus import Distributed, NotDistributableError, distribute
from hoc.database.engine import create_engine
from hoc.embedded import DataDirectory


def distribute_tables(data: DataDirectory) -> None:
    """Place hoc's tables on the nodes of the Citus cluster at HOC_DATABASE_URL."""
    url = require_database(load_settings(), data)
    with database_errors(url):
        print_step("Distributing the tables")
        try:
            placed = asyncio.run(distribute_database(url))
        except NotDistributableError as reason:
            raise CommandError(str(reason)) from None
    typer.echo(readable(placed))


async def distribute_database(url: str) -> Distributed:
    """Place the tables in one transaction, however long that takes."""
    engine = create_engine(url, statement_timeout_ms=None, pooled=False)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(distribute)
    finally:
        await engine.dispose()


def readable(placed: Distributed) -> str:
    if not placed.reference and not placed.by_tenant:
        return "All tables are distributed already."
    lines = [
        f"{what}: {', '.join(names)}"
        for what, names in (("On every node", placed.reference), ("By tenant", placed.by_tenant))
        if names
    ]
    return "\n".join([*lines, "Restart the servers: new connections have the database's settings for Citus."])
