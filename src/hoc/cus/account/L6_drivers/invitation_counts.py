"""How many invitations a tenant has: kept numbers, changed by the statement that changes an invitation.

Closed ones are kept by status and delivery. Pending ones are one number: time turns them into expired ones
without a statement, and those that have not expired are few, because each has a seat.
"""

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    String,
    case,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.values import InvitationStatus
from hoc.cus.account.L6_drivers.execution import AnySelect
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.tables import invitation_counts

KEPT_STATUS = invitation_counts.c.status
KEPT_DELIVERY = invitation_counts.c.delivery
_PENDING = literal(InvitationStatus.PENDING.value, String)
_NO_DELIVERY = literal("", String)


def kept_total(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The sum of the tenant's numbers to which the conditions apply."""
    total = func.coalesce(func.sum(invitation_counts.c.invitations), 0)
    return select(total).where(invitation_counts.c.tenant_id == TENANT, *conditions).scalar_subquery()


def count_new(invited: CTE) -> CTE:
    """Counts the pending invitation that ``invited`` has inserted."""
    return _one_more(select(TENANT, _PENDING, _NO_DELIVERY, literal(1)).select_from(invited))


def count_closed(closed: CTE) -> tuple[CTE, CTE]:
    """Counts the invitation that ``closed`` has updated, and that was pending, by status and delivery."""
    return (
        _one_less(KEPT_STATUS == _PENDING, exists().select_from(closed)),
        _one_more(select(TENANT, closed.c.status, _delivery(closed), literal(1))),
    )


def count_delivered(closed: CTE, changed: CTE) -> tuple[CTE, CTE]:
    """Counts an invitation by its new delivery. ``closed`` is its row before, none if it is pending."""
    return (
        _one_less(
            closed.c.status == KEPT_STATUS,
            _delivery(closed) == KEPT_DELIVERY,
            exists().select_from(changed),
        ),
        _one_more(
            select(TENANT, closed.c.status, _delivery(changed), literal(1)).select_from(
                closed.join(changed, closed.c.invitation_id == changed.c.invitation_id)
            )
        ),
    )


def count_deleted(deleted: CTE) -> CTE:
    """Takes the invitation that ``deleted`` has deleted out of the numbers."""
    is_pending = deleted.c.status == _PENDING
    return _one_less(
        deleted.c.status == KEPT_STATUS,
        case((is_pending, _NO_DELIVERY), else_=_delivery(deleted)) == KEPT_DELIVERY,
    )


def _delivery(rows: CTE) -> ColumnElement[str]:
    return func.coalesce(rows.c.delivery, _NO_DELIVERY)


def _one_less(*conditions: ColumnElement[bool]) -> CTE:
    return (
        update(invitation_counts)
        .where(invitation_counts.c.tenant_id == TENANT, *conditions)
        .values(invitations=invitation_counts.c.invitations - 1)
        .cte("counted_less")
    )


def _one_more(row: AnySelect) -> CTE:
    return (
        insert(invitation_counts)
        .from_select(["tenant_id", "status", "delivery", "invitations"], row)
        .on_conflict_do_update(
            index_elements=list(invitation_counts.primary_key),
            set_={"invitations": invitation_counts.c.invitations + 1},
        )
        .cte("counted_more")
    )
