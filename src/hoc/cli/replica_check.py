"""Whether the replica is one that hoc may read: for `hoc doctor`."""

from typing import Any, Final

from sqlalchemy import Row, TextClause, text

from hoc.cli.errors import database_errors
from hoc.cus.account.L6_drivers.tables import SCHEMA
from hoc.database import create_engine

_OF_BOTH: Final = (
    "SELECT system_identifier, current_database() AS database,"  # noqa: S608 - a constant
    f" (SELECT version_num FROM {SCHEMA}.alembic_version) AS revision, "
)
_PRIMARY: Final = text(f"{_OF_BOTH} pg_current_wal_insert_lsn() AS position FROM pg_control_system()")
_REPLICA: Final = text(
    f"{_OF_BOTH} pg_is_in_recovery() AS is_standby, pg_last_wal_replay_lsn() AS position"
    " FROM pg_control_system()"
)


async def replica_state(url: str, replica_url: str, *, connect_timeout: float) -> tuple[bool, str]:
    """Whether the replica is fit, and how far it is behind or what is wrong with it.

    Raises CommandError when one of the two does not answer.
    """
    primary = await _read(url, _PRIMARY, connect_timeout)
    replica = await _read(replica_url, _REPLICA, connect_timeout)
    if not replica.is_standby:
        return False, "is not in recovery, so it is no standby: name one in HOC_DATABASE_REPLICA_URL"
    if replica.system_identifier != primary.system_identifier:
        return False, "is a standby of another primary: name one of the server in HOC_DATABASE_URL"
    if replica.database != primary.database:
        return False, f"is the database {replica.database}, and HOC_DATABASE_URL names {primary.database}"
    if replica.revision != primary.revision:
        return False, f"is at revision {replica.revision}, and the primary at {primary.revision}: it lags"
    behind = max(primary.position - replica.position, 0)
    return True, f"follows the primary, {behind:,} bytes behind"


async def _read(url: str, statement: TextClause, connect_timeout: float) -> Row[Any]:
    engine = create_engine(url, pooled=False, connect_timeout=connect_timeout)
    try:
        with database_errors(url):
            async with engine.connect() as connection:
                return (await connection.execute(statement)).one()
    finally:
        await engine.dispose()
