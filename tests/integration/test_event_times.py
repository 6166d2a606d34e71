"""Times in events are UTC, even in a session with another time zone."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from support.world import PostgresWorld

from hoc.database import Database

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, 12, 30, 15, 50_000, tzinfo=UTC)


async def test_times_are_utc_in_a_session_of_another_zone(database: Database) -> None:
    world = PostgresWorld(database)
    tenant_id, _ = await world.tenant()
    async with world.session() as session:
        await session.execute(text("SET LOCAL TimeZone TO 'Asia/Kolkata'"))
        await world.facade.billing.set_subscription(
            session, tenant_id, plan="pro", current_period_start=MARCH, current_period_end=APRIL
        )
        await session.commit()
    event = (await world.events(tenant_id=tenant_id))[-1]
    assert times(event.data) == {
        "current_period_start": "2026-03-01T00:00:00+00:00",
        "current_period_end": "2026-04-01T12:30:15.05+00:00",
        "next_invoice_date": None,
        "changed_at": event.data["changed_at"],
    }
    assert datetime.fromisoformat(event.data["changed_at"]) == event.time
    assert event.data["changed_at"].endswith("+00:00")


def times(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name.endswith(("_start", "_end", "_date", "_at"))}
