"""Seats, which ``max_members`` limits: a member has one, and so has a pending invitation.

Whoever gives a seat locks the tenant before the count, and whoever accepts an invitation holds the tenant
until the commit. Accepting needs no count: the invitation's seat becomes the member's.
"""

from sqlalchemy import BigInteger, ColumnElement, Interval, cast, func, literal, literal_column, select

from hoc.cus.account.L5_schemas.values import SEAT_KEPT, InvitationStatus
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.tables import SCHEMA, invitations, member_counts

AS_OF = NOW - literal(SEAT_KEPT, Interval)


def seats(tenant_id: ColumnElement[str], *conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """The seats of the tenant's members, and of those invitations to which the conditions apply."""
    members = select(func.coalesce(func.sum(member_counts.c.members), 0)).where(
        member_counts.c.tenant_id == tenant_id
    )
    # Not a parameter: a generic plan could not use the partial index.
    is_pending = invitations.c.status == literal_column(f"'{InvitationStatus.PENDING}'")
    pending = select(func.count()).where(
        invitations.c.tenant_id == tenant_id, is_pending, invitations.c.expires_at > AS_OF, *conditions
    )
    return cast(members.scalar_subquery() + pending.scalar_subquery(), BigInteger)


def held_seats(mailbox: ColumnElement[str]) -> ColumnElement[int]:
    """The tenant's seats beside that of a mailbox. Nobody gives or takes one until the transaction ends."""
    hold_seats = getattr(func, SCHEMA).hold_seats
    held: ColumnElement[int] = hold_seats(TENANT, mailbox, AS_OF, type_=BigInteger)
    return held
