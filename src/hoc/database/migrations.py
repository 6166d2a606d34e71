"""Migrates a database to this version's schema. Safe while servers run and while others migrate."""

import asyncio
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic.command import downgrade, upgrade
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from hoc.database.connecting import PasswordSource
from hoc.database.engine import create_engine
from hoc.database.outages import sqlstate
from hoc.database.pooler import Pooler

LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 10
PAUSE_SECONDS = 1.0
CONNECT_TIMEOUT_SECONDS = 10


def migration_config() -> Config:
    """Alembic's configuration, with the migration scripts of the wheel or of the source tree."""
    packaged = Path(str(files("hoc"))) / "alembic"
    source = Path(__file__).parents[3] / "alembic"
    config = Config()
    config.set_main_option("script_location", str(packaged if packaged.is_dir() else source))
    config.set_main_option("path_separator", "os")
    return config


class NewerSchemaError(Exception):
    """A newer version of hoc has migrated the database. This version works on it, and changes nothing."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is at revision {revision}, which a newer version of hoc has made."
            f" This version, {newest_revision()}, works on it; it migrates nothing."
        )


@cache
def revisions() -> tuple[str, ...]:
    """This version's revisions, the newest first."""
    return tuple(
        script.revision for script in ScriptDirectory.from_config(migration_config()).walk_revisions()
    )


def newest_revision() -> str:
    return revisions()[0]


async def migrate(
    database_url: str,
    revision: str = "head",
    *,
    password: PasswordSource | None = None,
    pooler: Pooler | None = None,
) -> None:
    """Upgrade, or downgrade to an older ``revision`` (``base`` removes everything).

    Also creates the partitions of the coming months' events, if the role may. ``password`` gives the
    password of each connection, in place of the URL's. ``pooler`` says that the URL leads to one.

    Raises:
        NewerSchemaError: a newer version of hoc has migrated the database.
        sqlalchemy.exc.DBAPIError: a statement failed, or a table stayed locked during all ten attempts.
    """
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            await _run(_engine(database_url, password, pooler), revision)
        except DBAPIError as problem:
            if not attempts_left or sqlstate(problem) != LOCK_NOT_AVAILABLE:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _engine(database_url: str, password: PasswordSource | None, pooler: Pooler | None) -> AsyncEngine:
    """For statements that may take as long as they need."""
    return create_engine(
        database_url,
        statement_timeout_ms=None,
        pooled=False,
        password=password,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        pooler=pooler,
    )


async def _run(engine: AsyncEngine, revision: str) -> None:
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, revision)
    finally:
        await engine.dispose()


def _migrate(connection: Connection, revision: str) -> None:
    config = migration_config()
    config.attributes["connection"] = connection
    command = upgrade if revision == "head" else downgrade
    command(config, revision)


async def current_revision(
    database_url: str, *, password: PasswordSource | None = None, pooler: Pooler | None = None
) -> str | None:
    """The database's revision, None before the first migration."""
    engine = _engine(database_url, password, pooler)
    try:
        async with engine.connect() as connection:
            if await connection.scalar(text("SELECT to_regclass('account.alembic_version')")) is None:
                return None
            revision: str | None = await connection.scalar(
                text("SELECT version_num FROM account.alembic_version")
            )
            return revision
    finally:
        await engine.dispose()
