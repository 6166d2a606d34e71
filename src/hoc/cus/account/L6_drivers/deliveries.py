"""The queue of invitation mails, as the courier works it."""

from datetime import datetime

from sqlalchemy import Integer, String, delete, select, update
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.records import DueDelivery
from hoc.cus.account.L6_drivers.statements import NOW, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import invitation_deliveries

DELIVERY = param("delivery_id", String)
DUE_AT = param("due_at", DateTime(timezone=True))

_DUE = (
    select(invitation_deliveries.c.delivery_id)
    .where(invitation_deliveries.c.due_at <= NOW)
    .order_by(invitation_deliveries.c.due_at)
    .limit(param("batch", Integer))
    .with_for_update(skip_locked=True)
)

CLAIM = (
    update(invitation_deliveries)
    .where(invitation_deliveries.c.delivery_id.in_(_DUE))
    .values(due_at=DUE_AT, attempts=invitation_deliveries.c.attempts + 1)
    .returning(*invitation_deliveries.c)
)

POSTPONE = (
    update(invitation_deliveries)
    .where(invitation_deliveries.c.delivery_id == DELIVERY)
    .values(due_at=DUE_AT)
    .returning(invitation_deliveries.c.delivery_id)
)

FINISH = (
    delete(invitation_deliveries)
    .where(invitation_deliveries.c.delivery_id == DELIVERY)
    .returning(invitation_deliveries.c.delivery_id)
)


class SqlDeliveries:
    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueDelivery]:
        """Take due deliveries nobody else is taking; unfinished, they are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM, now=now, due_at=lease_until, batch=batch)
        return [DueDelivery(row.delivery_id, row.tenant_id, row.invitation_id, row.attempts) for row in rows]

    async def postpone(self, session: SqlSession, delivery_id: str, due_at: datetime) -> None:
        await fetch_one(session, POSTPONE, delivery_id=delivery_id, due_at=due_at)

    async def finish(self, session: SqlSession, delivery_id: str) -> None:
        """Forget a delivery, unless the invitation was sent anew meanwhile: that is another delivery."""
        await fetch_one(session, FINISH, delivery_id=delivery_id)
