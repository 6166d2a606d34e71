"""What `hoc doctor` finds about a pooler in transaction mode, and about the way past it."""

from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.errors import CommandError, database_errors
from hoc.cli.findings import Finding
from hoc.database import create_engine
from hoc.database.pooler import MISSING_LIMITS
from hoc.database.statement_functions import MAY_MAKE, MISSING_RIGHT

if TYPE_CHECKING:
    from hoc.database.pooled_connection import PooledConnection

_SERVER_PROCESS: Final = text("SELECT pg_backend_pid()")


async def pooler_findings(connection: AsyncConnection, direct_url: str | None) -> list[Finding]:
    """Examine a connection through the pooler, and HOC_LISTEN_DATABASE_URL."""
    driver = cast("PooledConnection", (await connection.get_raw_connection()).driver_connection)
    missing = (await connection.execute(MISSING_LIMITS)).all()
    is_direct = await connection.scalar(_SERVER_PROCESS) == driver.get_server_pid()
    return [
        Finding("pooler", "warning", "HOC_POOLER is set, but PostgreSQL itself answers: unset it")
        if is_direct
        else await _statements(connection, keeps_names=driver.keeps_names),
        *(
            Finding("limits", "warning", f"{limit.name} is 0, so nothing ends what hangs: run {limit.remedy}")
            for limit in missing
        ),
        await _direct(direct_url),
    ]


async def _statements(connection: AsyncConnection, *, keeps_names: bool) -> Finding:
    if keeps_names:
        return Finding("pooler", "ok", "in transaction mode, with prepared statements")
    without = "in transaction mode, without prepared statements"
    if await connection.scalar(text(MAY_MAKE)):
        return Finding("pooler", "ok", f"{without}: functions keep the plans of those that are frequent")
    if remedy := await connection.scalar(MISSING_RIGHT):
        return Finding("pooler", "warning", f"{without}, so each is planned anew: run {remedy}")
    return Finding("pooler", "ok", without)


async def _direct(url: str | None) -> Finding:
    if url is None:
        return Finding(
            "listening",
            "warning",
            "relays poll, and commands use the pooler: set HOC_LISTEN_DATABASE_URL to PostgreSQL itself",
        )
    engine = create_engine(url, pooled=False)
    try:
        with database_errors(url):
            async with engine.connect():
                return Finding("listening", "ok", "HOC_LISTEN_DATABASE_URL leads to PostgreSQL itself")
    except CommandError as problem:
        return Finding("listening", "wrong", f"{problem} Check HOC_LISTEN_DATABASE_URL.")
    finally:
        await engine.dispose()
