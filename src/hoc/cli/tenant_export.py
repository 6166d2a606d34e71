"""`hoc tenant export`: all that is held about a tenant, as a file."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import orjson
from sqlalchemy import text

from hoc.bulk.exporting import STATEMENT_TIMEOUT_MS
from hoc.cli.bulk import writing
from hoc.cli.configuration import load_settings, require_target
from hoc.cli.errors import database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L5_engines.erasure import Erasure
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.erasure import TenantRecord
from hoc.cus.account.wiring import open_database, options_of, postgres_engines
from hoc.embedded import DataDirectory

_ONE_MOMENT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def export_tenant(data: DataDirectory, tenant_id: str, name: str) -> None:
    """Write a tenant's rows to a file, which appears once it is complete, or to standard output for `-`."""
    settings = load_settings()
    target = require_target(settings, data)
    erasure = postgres_engines(options_of(settings)).erasure
    written = 0
    with writing(name) as output, database_errors(target.url):

        async def run() -> None:
            nonlocal written
            database = open_database(
                target.url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=target.pooler
            )
            try:
                async with database.transaction() as session:
                    await session.execute(_ONE_MOMENT)
                    async for record in _records(erasure, session, tenant_id):
                        output.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                        written += 1
            finally:
                await database.close()

        asyncio.run(run())
    print_step(f"{written:,} rows exported")


async def _records(erasure: Erasure, session: Session, tenant_id: str) -> AsyncGenerator[TenantRecord]:
    cursor = None
    while True:
        page = await erasure.export_tenant(session, tenant_id, cursor=cursor)
        for record in page.value.records:
            yield record
        cursor = page.next_cursor
        if cursor is None:
            return
