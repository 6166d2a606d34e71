"""A tenant's invitations as a list: by shown status and delivery, with totals that count few rows or none."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ScalarSelect,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    select,
)

from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery
from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.invitation_counts import KEPT_DELIVERY, KEPT_STATUS, kept_total
from hoc.cus.account.L6_drivers.invitation_sending import DELIVERY, IS_PENDING, RESULT
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.tables import invitations

STATUS = param("status", String)
SHOWN_STATUS = case(
    (and_(IS_PENDING, invitations.c.expires_at <= NOW), literal(InvitationStatus.EXPIRED.value)),
    else_=invitations.c.status,
)

_IS_OPEN, _HAS_EXPIRED = invitations.c.expires_at > NOW, invitations.c.expires_at <= NOW
_IS_DELIVERED, _KEPT_DELIVERED = invitations.c.delivery == DELIVERY, KEPT_DELIVERY == DELIVERY
_KEPT_PENDING = KEPT_STATUS == InvitationStatus.PENDING
_KEPT_CLOSED = KEPT_STATUS == STATUS
_CLOSED = "closed"
"""Accepted, revoked or declined: the status that is shown is the one that is stored."""


def with_status(status: ColumnElement[str]) -> list[ColumnElement[Any]]:
    """The columns of a result, with this status."""
    return [status.label("status") if column.name == "status" else column for column in RESULT]


def _pending(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """The number of pending rows. By delivery, it counts those that expired long ago, too."""
    counted = select(func.count()).select_from(invitations)
    return counted.where(invitations.c.tenant_id == TENANT, IS_PENDING, *conditions).scalar_subquery()


_CONDITIONS: dict[str | None, list[ColumnElement[bool]]] = {
    None: [],
    InvitationStatus.PENDING: [IS_PENDING, _IS_OPEN],
    InvitationStatus.EXPIRED: [IS_PENDING, _HAS_EXPIRED],
    _CLOSED: [invitations.c.status == STATUS],
}
_TOTALS: dict[str | None, ColumnElement[int]] = {
    None: kept_total(),
    InvitationStatus.PENDING: _pending(_IS_OPEN),
    InvitationStatus.EXPIRED: kept_total(_KEPT_PENDING) - _pending(_IS_OPEN),
    _CLOSED: kept_total(_KEPT_CLOSED),
}
_TOTALS_BY_DELIVERY: dict[str | None, ColumnElement[int]] = {
    None: kept_total(~_KEPT_PENDING, _KEPT_DELIVERED) + _pending(_IS_DELIVERED),
    InvitationStatus.PENDING: _pending(_IS_OPEN, _IS_DELIVERED),
    InvitationStatus.EXPIRED: _pending(_HAS_EXPIRED, _IS_DELIVERED),
    _CLOSED: kept_total(_KEPT_CLOSED, _KEPT_DELIVERED),
}


def _page(total: ColumnElement[int], *conditions: ColumnElement[bool]) -> Paged:
    return Paged(
        select(*with_status(SHOWN_STATUS)).where(invitations.c.tenant_id == TENANT, *conditions),
        at=invitations.c.created_at,
        row_id=invitations.c.invitation_id,
        total=cast(total, BigInteger),
        newest_first=True,
    )


PAGES = {(kind, False): _page(_TOTALS[kind], *conditions) for kind, conditions in _CONDITIONS.items()} | {
    (kind, True): _page(_TOTALS_BY_DELIVERY[kind], *conditions, _IS_DELIVERED)
    for kind, conditions in _CONDITIONS.items()
}


def page_of(status: InvitationStatus | None, delivery: MailDelivery | None) -> tuple[Paged, dict[str, str]]:
    """The list that is asked for, and the values of its filters."""
    kind = status if status in _CONDITIONS else _CLOSED
    values: dict[str, str] = {} if status is None or kind != _CLOSED else {"status": status}
    return PAGES[kind, delivery is not None], values if delivery is None else values | {"delivery": delivery}
