"""Deleting invitations that ended long ago. Their addresses leave past events, too."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, delete, select
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.event_blanking import blank_events_of_invitation, hold_sequencing
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_each, param
from hoc.cus.account.L6_drivers.invitation_counts import count_deleted
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.tables import invitations

BEFORE = param("before", DateTime(timezone=True))
# One that has expired stays pending. The last change of the others is that they ended.
HAS_EXPIRED = IS_PENDING & (invitations.c.expires_at < BEFORE)
IS_CLOSED = ~IS_PENDING & (invitations.c.updated_at < BEFORE)


def _find(has_ended: ColumnElement[bool], ended_at: ColumnElement[Any]) -> AnySelect:
    return (
        select(invitations.c.tenant_id, invitations.c.invitation_id)
        .where(has_ended)
        .order_by(ended_at)
        .limit(param("batch", Integer))
    )


FIND_EXPIRED = _find(HAS_EXPIRED, invitations.c.expires_at)
FIND_CLOSED = _find(IS_CLOSED, invitations.c.updated_at)

# Somebody may have sent it again meanwhile. One that is locked is left to the next round.
LOCK = (
    select(invitations.c.tenant_id, invitations.c.invitation_id)
    .where(THIS, HAS_EXPIRED | IS_CLOSED)
    .with_for_update(skip_locked=True)
)


def _delete() -> AnySelect:
    deleted = (
        delete(invitations)
        .where(THIS)
        .returning(invitations.c.invitation_id, invitations.c.status, invitations.c.delivery)
        .cte("deleted")
    )
    return select(deleted.c.invitation_id).add_cte(count_deleted(deleted))


DELETE = _delete()


class SqlEndedInvitations:
    async def delete(self, session: SqlSession, *, before: datetime, limit: int) -> int:
        """Delete invitations that ended before the time, up to twice ``limit``. Returns how many.

        No event is numbered until the transaction ends.
        """
        found: list[dict[str, str]] = []
        for find in (FIND_EXPIRED, FIND_CLOSED):
            rows = await fetch_all(session, find, before=before, batch=limit)
            found += [{"tenant_id": row.tenant_id, "invitation_id": row.invitation_id} for row in rows]
        found.sort(key=lambda each: (each["tenant_id"], each["invitation_id"]))
        locked = await fetch_each(session, LOCK, [each | {"before": before} for each in found])
        if not locked:
            return 0
        await hold_sequencing(session)
        ended = [{"tenant_id": row.tenant_id, "invitation_id": row.invitation_id} for row in locked]
        await fetch_each(session, DELETE, ended)
        for each in ended:
            await blank_events_of_invitation(session, **each)
        return len(ended)
