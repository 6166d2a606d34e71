"""Leasing webhook endpoints that are due, so that one sender at a time sends to each.

Leases go by the database's clock, which all senders share.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    String,
    and_,
    case,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.values import WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    DEPLOYMENT,
    LeasedWebhook,
)
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import any_of
from hoc.cus.account.L6_drivers.tables import (
    event_cursors,
    events,
    webhook_endpoints,
    webhook_sends,
)
from hoc.cus.account.L6_drivers.webhooks import IS_IDLE, LINE, THIS_ENDPOINT

LEASE: Final = timedelta(seconds=10)
"""After the last renewal, another sender takes over."""

SENDER = param("sender", String)
LIMIT = param("limit", Integer)
IS_MINE = and_(THIS_ENDPOINT, webhook_endpoints.c.leased_by == SENDER)
WHOLE_DEPLOYMENT = literal_column(f"'{DEPLOYMENT}'", String)
_LEASE_END = func.now() + param("lease", Interval)
_RETRY_AT = param("retry_at", DateTime(timezone=True))


def _any_in(column: ColumnElement[str]) -> ColumnElement[Any]:
    return func.any(func.array(select(column).scalar_subquery()))


def _wake() -> AnySelect:
    """Make due the endpoints that have chosen one of the next numbered events, and move the cursor.

    An idle endpoint's position moves up to the cursor as it was: it has nothing to be sent from before.
    """
    line = (
        select(event_cursors.c.sequence)
        .where(event_cursors.c.name == literal_column(f"'{LINE}'"))
        .with_for_update(skip_locked=True)
        .cte("line")
    )
    numbered = (
        select(events.c.sequence, events.c.tenant_id, events.c.type)
        .where(events.c.sequence > select(line.c.sequence).scalar_subquery())
        .order_by(events.c.sequence)
        .limit(LIMIT)
        .cte("numbered")
        .prefix_with("MATERIALIZED")
    )
    owner = webhook_endpoints.c.tenant_id.in_([numbered.c.tenant_id, WHOLE_DEPLOYMENT])
    is_chosen = or_(
        webhook_endpoints.c.event_types.is_(None),
        numbered.c.type == func.any(webhook_endpoints.c.event_types),
    )
    chosen = (
        select(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)
        .select_from(numbered.join(webhook_endpoints, and_(owner, is_chosen)))
        .where(webhook_endpoints.c.status == literal_column(f"'{WebhookStatus.ENABLED}'"))
        .distinct()
        .cte("chosen")
    )
    is_leased = webhook_endpoints.c.leased_by.is_not(None)
    passed = select(line.c.sequence).scalar_subquery()
    woken = (
        update(webhook_endpoints)
        # Arrays and no join: after waiting for a row's lock, PostgreSQL compares the row with the first of
        # `chosen` only, and so would not wake it.
        .where(
            webhook_endpoints.c.tenant_id == _any_in(chosen.c.tenant_id),
            webhook_endpoints.c.endpoint_id == _any_in(chosen.c.endpoint_id),
        )
        .values(
            sequence=case(
                (IS_IDLE, func.greatest(webhook_endpoints.c.sequence, passed)),
                else_=webhook_endpoints.c.sequence,
            ),
            due_at=func.coalesce(webhook_endpoints.c.due_at, func.now()),
            is_woken=is_leased,
        )
        .returning(webhook_endpoints.c.endpoint_id)
        .cte("woken")
    )
    last = select(func.max(numbered.c.sequence)).scalar_subquery()
    moved = (
        update(event_cursors)
        .where(event_cursors.c.name == literal_column(f"'{LINE}'"), exists().select_from(numbered))
        .values(sequence=last)
        .cte("moved")
    )
    count = select(func.count()).select_from(numbered).scalar_subquery()
    return select(
        count.label("numbered"), select(func.count()).select_from(woken).scalar_subquery().label("woken")
    ).add_cte(moved)


WAKE = _wake()

_HAS_REQUEST = exists().where(
    webhook_sends.c.tenant_id == webhook_endpoints.c.tenant_id,
    webhook_sends.c.endpoint_id == webhook_endpoints.c.endpoint_id,
)
_KEY = tuple_(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)


def _claim(*, failing: bool) -> Any:  # noqa: ANN401 - an UPDATE with its columns
    due = (
        select(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)
        .where(
            webhook_endpoints.c.due_at <= func.now(),
            webhook_endpoints.c.failing_since.is_not(None)
            if failing
            else webhook_endpoints.c.failing_since.is_(None),
        )
        .order_by(webhook_endpoints.c.due_at)
        .limit(LIMIT)
        .with_for_update(skip_locked=True)
        .cte("due")
        # As a subquery it could be executed several times, and each time lock other rows.
        .prefix_with("MATERIALIZED")
    )
    has_overlap = webhook_endpoints.c.previous_secret_until > func.now()
    return (
        update(webhook_endpoints)
        .where(_KEY.in_(select(*due.c)))
        .values(due_at=_LEASE_END, leased_by=SENDER, is_woken=false())
        .returning(
            webhook_endpoints,
            case((has_overlap, webhook_endpoints.c.previous_secret), else_=null()).label("second_secret"),
            _HAS_REQUEST.label("has_requests"),
        )
    )


CLAIM = {failing: _claim(failing=failing) for failing in (False, True)}

_HELD = (
    select(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)
    .where(
        any_of(webhook_endpoints.c.leased_by, "leases"),
        any_of(webhook_endpoints.c.endpoint_id, "endpoint_ids"),
    )
    # Another statement may hold several rows and wait for one of these. The next renewal has it.
    .with_for_update(skip_locked=True)
    .cte("held")
    .prefix_with("MATERIALIZED")
)
RENEW = (
    update(webhook_endpoints)
    .where(_KEY.in_(select(*_HELD.c)))
    .values(due_at=_LEASE_END)
    .returning(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id, webhook_endpoints.c.leased_by)
)
RELEASE = (
    update(webhook_endpoints)
    .where(IS_MINE)
    .values(
        leased_by=null(),
        is_woken=false(),
        due_at=case(
            (_HAS_REQUEST, func.now()),
            (_RETRY_AT.is_not(None), _RETRY_AT),
            (webhook_endpoints.c.is_woken | param("is_due", Boolean), func.now()),
            else_=null(),
        ),
        # An event that was set aside as the last one leaves nothing that fails.
        failing_since=case(
            (_RETRY_AT.is_not(None) | param("is_due", Boolean), webhook_endpoints.c.failing_since),
            else_=null(),
        ),
    )
    .returning(webhook_endpoints.c.endpoint_id)
)


class SqlWebhookLeases:
    async def wake(self, session: SqlSession, limit: int) -> int:
        """Make endpoints due for up to ``limit`` newly numbered events.

        Returns for how many; 0 also when another process does it at this moment.
        """
        [row] = await fetch_all(session, WAKE, limit=limit)
        return int(row.numbered)

    async def claim(
        self, session: SqlSession, sender: str, limit: int, *, failing: bool
    ) -> list[LeasedWebhook]:
        """Lease due endpoints that no other sender has, those that fail or the others."""
        rows = await fetch_all(session, CLAIM[failing], sender=sender, limit=limit, lease=LEASE)
        return [_leased(row) for row in rows]

    async def renew(
        self, session: SqlSession, leases: list[tuple[str, str, str]]
    ) -> set[tuple[str, str, str]]:
        """Extend leases, each an endpoint's owner, its id and the lease's. Returns those still held."""
        rows = await fetch_all(
            session,
            RENEW,
            leases=[leased_by for *_, leased_by in leases],
            endpoint_ids=[endpoint_id for _, endpoint_id, _ in leases],
            lease=LEASE,
        )
        return {(row.tenant_id, row.endpoint_id, row.leased_by) for row in rows}

    async def release(
        self, session: SqlSession, endpoint: LeasedWebhook, *, retry_at: datetime | None, is_due: bool
    ) -> None:
        """End a lease. The endpoint is idle unless it is to be tried again, or was woken meanwhile."""
        key = {"tenant_id": endpoint.tenant_id, "endpoint_id": endpoint.endpoint_id}
        await fetch_one(session, RELEASE, **key, sender=endpoint.leased_by, retry_at=retry_at, is_due=is_due)


def _leased(row: AnyRow) -> LeasedWebhook:
    return LeasedWebhook(
        tenant_id=row.tenant_id,
        endpoint_id=row.endpoint_id,
        leased_by=row.leased_by,
        url=row.url,
        secrets=tuple(secret for secret in (row.secret, row.second_secret) if secret is not None),
        event_types=None if row.event_types is None else tuple(row.event_types),
        is_enabled=row.status == WebhookStatus.ENABLED,
        sequence=row.sequence,
        failures=row.failures,
        failing_since=row.failing_since,
        has_requests=row.has_requests,
    )
