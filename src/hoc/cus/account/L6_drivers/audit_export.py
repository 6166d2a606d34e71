"""Writing numbered events as JSON lines. PostgreSQL makes the lines, so that memory stays flat."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L6_drivers.bulk_accounts import Output
from hoc.cus.account.L6_drivers.tables import events

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)

_LINE: Final = (
    "SELECT json_build_object('sequence', sequence, 'event_id', event_id, 'type', type, 'time', time,"  # noqa: S608 - a constant
    " 'tenant_id', tenant_id, 'user_id', user_id, 'actor', actor, 'data', payload)"
    f" FROM {events.fullname} WHERE time >= $1 AND time < $2"
)
OF_ALL: Final = f"{_LINE} ORDER BY sequence"
# In the order of its index, which is that of the audit trail.
OF_TENANT: Final = f"{_LINE} AND tenant_id = $3 ORDER BY time, position"


async def copy_events(
    session: AsyncConnection,
    output: Output,
    *,
    tenant_id: str | None,
    since: datetime | None,
    until: datetime | None,
) -> int:
    """Write the events from ``since`` on and before ``until``, of one tenant or of all. Returns how many."""
    driver: Any = (await session.get_raw_connection()).driver_connection
    times = (since or _FIRST, until or _END)
    query, values = (OF_ALL, times) if tenant_id is None else (OF_TENANT, (*times, tenant_id))
    # Neither delimiter nor quote can occur in JSON text, so nothing is ever quoted.
    done = await driver.copy_from_query(
        query, *values, output=output, format="csv", delimiter="\x01", quote="\x02"
    )
    return int(done.removeprefix("COPY "))
