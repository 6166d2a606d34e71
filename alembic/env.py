"""How migrations run: in one transaction, one migrator at a time, and with a short wait for locked tables."""

import asyncio
import os
import re
from datetime import UTC, datetime

from alembic import context
from sqlalchemy import Connection, text

from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.event_partitions import create_partitions_ahead
from hoc.cus.account.L6_drivers.tables import SCHEMA, metadata
from hoc.database import create_engine
from hoc.database.migrations import NewerSchemaError, revisions
from hoc.database.statement_functions import DROP_FUNCTIONS

# Not compared with the code: servers create and drop the partitions.
PARTITION = re.compile(r"events_\d{4}_\d{2}")

# By the table: `to_regnamespace` may remember from before the wait that there is none.
_SCHEMA_EXISTS = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :name)")


def run(connection: Connection) -> None:
    def drop_functions(*_: object, **__: object) -> None:
        """Alembic calls it after each revision's change. Servers make anew what they need of them."""
        connection.execute(DROP_FUNCTIONS)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=_is_ours,
        compare_type=True,
        compare_server_default=True,
        on_version_apply=drop_functions,
    )
    with context.begin_transaction():
        # The role may have limits, for servers behind a pooler.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        # The wait for another migrator is not bounded. The wait for a table is.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.MIGRATION})
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        # IF NOT EXISTS would need the privilege to create schemas although there is nothing to create.
        if not connection.scalar(_SCHEMA_EXISTS, {"name": SCHEMA}):
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        revision = context.get_context().get_current_revision()
        if revision is not None and revision not in revisions():
            raise NewerSchemaError(revision)
        context.run_migrations()
        create_partitions_ahead(connection, datetime.now(UTC))


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    if kind == "schema":
        return name == SCHEMA
    return kind != "table" or name is None or not PARTITION.fullmatch(name)


async def run_from_command_line() -> None:
    engine = create_engine(os.environ["HOC_DATABASE_URL"], statement_timeout_ms=None, pooled=False)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_from_command_line())
else:
    run(given)
