"""Bringing a database to the schema of this version. Safe beside running servers and other starters."""

import asyncio
from importlib.resources import files
from pathlib import Path

from alembic.command import downgrade, upgrade
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from hoc.database.connections import sqlalchemy_url

LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 10
PAUSE_SECONDS = 1.0


def migration_config() -> Config:
    """Alembic's configuration, with the scripts from the wheel or from the source tree."""
    packaged = Path(str(files("hoc"))) / "alembic"
    source = Path(__file__).parents[3] / "alembic"
    config = Config()
    config.set_main_option("script_location", str(packaged if packaged.is_dir() else source))
    config.set_main_option("path_separator", "os")
    return config


async def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade, or downgrade to an older ``revision`` (``base``: to nothing), retrying while tables are busy.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refused, or a table stayed locked for all ten attempts.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            await _run(database_url, revision)
        except DBAPIError as problem:
            if getattr(problem.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    await _run(database_url, revision)


async def _run(database_url: str, revision: str) -> None:
    engine = create_async_engine(sqlalchemy_url(database_url), pool_size=1)
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


async def current_revision(database_url: str) -> str | None:
    """The revision a database is at, None before the first migration."""
    engine = create_async_engine(sqlalchemy_url(database_url), pool_size=1)
    try:
        async with engine.connect() as connection:
            table = await connection.scalar(text("SELECT to_regclass('account.alembic_version')"))
            if table is None:
                return None
            revision: str | None = await connection.scalar(
                text("SELECT version_num FROM account.alembic_version")
            )
            return revision
    finally:
        await engine.dispose()
