"""Databases on a Citus cluster: each is made on every node, and hoc's tables are distributed in it."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from hoc.cli.citus import distribute_database
from hoc.migrations import migrate

_NODES = "SELECT nodename, nodeport, groupid FROM pg_dist_node WHERE isactive ORDER BY groupid"
_IS_COORDINATOR = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
_ALONE = "SET citus.enable_create_database_propagation TO off"
"""Not propagated: a database made that way has no extension on the workers."""


async def is_coordinator(url: str) -> bool:
    [[found]] = await _on(url, _IS_COORDINATOR)
    return bool(found)


@asynccontextmanager
async def new_database(url: str, *, migrated: bool = True) -> AsyncGenerator[str]:
    """Yield the URL of a new database beside ``url``, distributed if migrated. Afterwards drop it."""
    name = f"hoc_test_{uuid.uuid4().hex}"
    coordinator, *workers = await _on(url, _NODES)
    everywhere = [url, *(_at(url, node["nodename"], node["nodeport"]) for node in workers)]
    try:
        for node in everywhere:
            await _on(node, _ALONE, f'CREATE DATABASE "{name}"')
            await _on(_named(node, name), "CREATE EXTENSION citus")
        created = _named(url, name)
        host, port = coordinator["nodename"], coordinator["nodeport"]
        await _on(created, f"SELECT citus_set_coordinator_host('{host}', {port})")
        for node in workers:
            await _on(created, f"SELECT citus_add_node('{node['nodename']}', {node['nodeport']})")
        if migrated:
            await migrate(created)
            await distribute_database(created)
        yield created
    finally:
        for node in everywhere:
            await _on(node, _ALONE, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _on(url: str, *statements: str) -> list[Any]:
    """Run the statements on one connection. Returns the rows of the last."""
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetch(statement) for statement in statements][-1]
    finally:
        await connection.close()


def _at(url: str, host: str, port: int) -> str:
    given = urlsplit(url)
    user, at, _ = given.netloc.rpartition("@")
    return urlunsplit(given._replace(netloc=f"{user}{at}{host}:{port}"))


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
