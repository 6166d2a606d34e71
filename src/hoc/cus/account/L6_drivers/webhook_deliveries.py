"""Sending events to webhook endpoints: what to send, and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Integer,
    SmallInteger,
    String,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import WebhookDisabledEventData
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.values import Role, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    DEPLOYMENT,
    LeasedWebhook,
    PendingEvent,
    RequestedSend,
    WebhookAttempt,
    WebhookProgress,
    event_for_test,
)
from hoc.cus.account.L6_drivers.event_log import COLUMNS, event_of
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import (
    events,
    memberships,
    webhook_attempts,
    webhook_endpoints,
    webhook_mails,
    webhook_sends,
    webhook_set_aside,
)
from hoc.cus.account.L6_drivers.webhook_history import EVENT, new_attempt_id
from hoc.cus.account.L6_drivers.webhook_leases import IS_MINE, LIMIT, WHOLE_DEPLOYMENT
from hoc.cus.account.L6_drivers.webhooks import ENDPOINT


def _pending(*, of_all: bool, by_type: bool) -> AnySelect:
    found = select(*(events.c[name] for name in COLUMNS), events.c.sequence).where(
        events.c.sequence > param("after", BigInteger)
    )
    if not of_all:
        found = found.where(events.c.tenant_id == TENANT)
    if by_type:
        found = found.where(events.c.type == func.any(param("event_types", ARRAY(String))))
    return found.order_by(events.c.sequence).limit(LIMIT)


PENDING = {
    (of_all, by_type): _pending(of_all=of_all, by_type=by_type)
    for of_all in (False, True)
    for by_type in (False, True)
}
"""By whether the endpoint is the whole deployment's, and whether it has chosen types."""

_STATUS = webhook_attempts.c.status
IS_REFUSED = and_(_STATUS.between(400, 499), _STATUS.not_in([408, 410, 429]))
TRIED = (
    select(
        webhook_attempts.c.sequence,
        func.count().filter(IS_REFUSED).label("refusals"),
        func.bool_or(func.coalesce(_STATUS.between(200, 299), false())).label("is_delivered"),
    )
    .where(
        webhook_attempts.c.tenant_id == TENANT,
        webhook_attempts.c.endpoint_id == ENDPOINT,
        webhook_attempts.c.sequence > param("after", BigInteger),
    )
    .group_by(webhook_attempts.c.sequence)
)

_TRIED = {
    "attempt_id": ARRAY(String),
    "event_id": ARRAY(String),
    "event_type": ARRAY(String),
    "sequence": ARRAY(BigInteger),
    "attempted_at": ARRAY(DateTime(timezone=True)),
    "status": ARRAY(SmallInteger),
    "error": ARRAY(String),
    "latency_ms": ARRAY(Integer),
}
_ROWS = (
    func.unnest(*(param(f"tried_{name}", kind) for name, kind in _TRIED.items()))
    .table_valued(*_TRIED)
    .render_derived("rows")
)
_ASIDE = {
    "event_id": ARRAY(String),
    "event_type": ARRAY(String),
    "sequence": ARRAY(BigInteger),
    "status": ARRAY(SmallInteger),
}
_ASIDE_ROWS = (
    func.unnest(*(param(f"aside_{name}", kind) for name, kind in _ASIDE.items()))
    .table_valued(*_ASIDE)
    .render_derived("aside")
)


def _record() -> AnySelect:
    reason = param("reason", String)
    held = (
        update(webhook_endpoints)
        .where(IS_MINE)
        .values(
            sequence=param("position", BigInteger),
            failures=param("failures", Integer),
            failing_since=param("failing_since", DateTime(timezone=True)),
            status=case((reason.is_(None), webhook_endpoints.c.status), else_=WebhookStatus.DISABLED),
            disabled_reason=func.coalesce(reason, webhook_endpoints.c.disabled_reason),
            leased_by=case((reason.is_(None), webhook_endpoints.c.leased_by), else_=null()),
            due_at=case((reason.is_(None), webhook_endpoints.c.due_at), else_=null()),
            version=webhook_endpoints.c.version + case((reason.is_(None), 0), else_=1),
        )
        .returning(
            webhook_endpoints.c.tenant_id,
            webhook_endpoints.c.endpoint_id,
            reason.label("reason"),
        )
        .cte("held")
    )
    logged = (
        insert(webhook_attempts)
        .from_select(
            ["tenant_id", "endpoint_id", *_TRIED],
            select(held.c.tenant_id, held.c.endpoint_id, *_ROWS.c).select_from(held.join(_ROWS, true())),
        )
        .cte("logged")
    )
    aside = (
        insert(webhook_set_aside)
        .from_select(
            ["tenant_id", "endpoint_id", "set_aside_at", *_ASIDE],
            select(held.c.tenant_id, held.c.endpoint_id, NOW, *_ASIDE_ROWS.c).select_from(
                held.join(_ASIDE_ROWS, true())
            ),
        )
        .on_conflict_do_nothing()
        .cte("set_aside")
    )
    disabled = recorded(
        WebhookDisabledEventData,
        held,
        held.c.reason.is_not(None),
        actor=null(),
        tenant_id=func.nullif(held.c.tenant_id, WHOLE_DEPLOYMENT),
    )
    return select(held.c.endpoint_id).add_cte(logged, aside, disabled)


RECORD = _record()

REQUESTED = (
    select(webhook_sends.c.event_id, webhook_sends.c.sequence, webhook_sends.c.requested_at)
    .where(webhook_sends.c.tenant_id == TENANT, webhook_sends.c.endpoint_id == ENDPOINT)
    .order_by(webhook_sends.c.requested_at, webhook_sends.c.event_id)
    .limit(LIMIT)
)
# An endpoint gets only events of its owner; the whole deployment's gets all.
NUMBERED = select(*(events.c[name] for name in COLUMNS), events.c.sequence).where(
    events.c.sequence == param("sequence", BigInteger),
    or_(events.c.tenant_id == TENANT, TENANT == WHOLE_DEPLOYMENT),
)


def _record_requested() -> AnySelect:
    key = (TENANT, ENDPOINT)
    logged = (
        insert(webhook_attempts)
        .from_select(
            ["tenant_id", "endpoint_id", *_TRIED],
            select(*key, *_ROWS.c).select_from(_ROWS).where(exists().where(IS_MINE)),
        )
        .cte("logged")
    )
    delivered = param("is_delivered", Boolean)
    back = (
        delete(webhook_set_aside)
        .where(
            webhook_set_aside.c.tenant_id == TENANT,
            webhook_set_aside.c.endpoint_id == ENDPOINT,
            webhook_set_aside.c.event_id == EVENT,
            delivered,
        )
        .cte("back")
    )
    done = (
        delete(webhook_sends)
        .where(
            webhook_sends.c.tenant_id == TENANT,
            webhook_sends.c.endpoint_id == ENDPOINT,
            webhook_sends.c.event_id == EVENT,
        )
        .returning(webhook_sends.c.event_id)
        .cte("done")
    )
    return select(done.c.event_id).add_cte(logged, back)


RECORD_REQUESTED = _record_requested()

OWNERS = select(memberships.c.user_id).where(
    memberships.c.tenant_id == TENANT, memberships.c.role == Role.OWNER, memberships.c.is_active
)
_RECIPIENTS = (
    func.unnest(param("mail_ids", ARRAY(String)), param("user_ids", ARRAY(String)))
    .table_valued("mail_id", "user_id")
    .render_derived("recipients")
)
QUEUE_MAILS = (
    insert(webhook_mails)
    .from_select(
        ["mail_id", "user_id", "tenant_id", "endpoint_id", "due_at"],
        select(*_RECIPIENTS.c, TENANT, ENDPOINT, NOW),
    )
    .returning(webhook_mails.c.mail_id)
)


class SqlWebhookDeliveries:
    async def pending(self, session: SqlSession, endpoint: LeasedWebhook, limit: int) -> list[PendingEvent]:
        """The next events that the endpoint is to be sent, in order."""
        of_all, by_type = endpoint.tenant_id == DEPLOYMENT, endpoint.event_types is not None
        tenant = {} if of_all else {"tenant_id": endpoint.tenant_id}
        types = {"event_types": list(endpoint.event_types)} if endpoint.event_types is not None else {}
        rows = await fetch_all(
            session, PENDING[of_all, by_type], **tenant, **types, after=endpoint.sequence, limit=limit
        )
        if not rows:
            return []
        key = {"tenant_id": endpoint.tenant_id, "endpoint_id": endpoint.endpoint_id}
        tried = {
            row.sequence: (row.refusals, row.is_delivered)
            for row in await fetch_all(session, TRIED, **key, after=endpoint.sequence)
        }
        return [
            PendingEvent(event_of(row), row.sequence, *tried.get(row.sequence, (0, False))) for row in rows
        ]

    async def record(
        self, session: SqlSession, endpoint: LeasedWebhook, progress: WebhookProgress, now: datetime
    ) -> LeasedWebhook | None:
        row = await fetch_one(
            session,
            RECORD,
            tenant_id=endpoint.tenant_id,
            endpoint_id=endpoint.endpoint_id,
            sender=endpoint.leased_by,
            position=progress.sequence,
            failures=progress.failures,
            failing_since=progress.failing_since,
            reason=progress.disabled,
            now=now,
            **_columns(progress.attempts),
            aside_event_id=[each.event_id for each in progress.set_aside],
            aside_event_type=[each.event_type for each in progress.set_aside],
            aside_sequence=[each.sequence for each in progress.set_aside],
            aside_status=[each.status for each in progress.set_aside],
        )
        return None if row is None or progress.disabled is not None else progress.applied_to(endpoint)

    async def requested(
        self, session: SqlSession, endpoint: LeasedWebhook, limit: int
    ) -> list[RequestedSend]:
        """The single events that somebody wants sent, in the order in which they were asked for."""
        key = {"tenant_id": endpoint.tenant_id, "endpoint_id": endpoint.endpoint_id}
        rows = await fetch_all(session, REQUESTED, **key, limit=limit)
        return [RequestedSend(row.event_id, await self._event(session, endpoint, row)) for row in rows]

    async def _event(
        self, session: SqlSession, endpoint: LeasedWebhook, request: AnyRow
    ) -> EventResult | None:
        if request.sequence is None:
            return event_for_test(endpoint, request.event_id, request.requested_at)
        row = await fetch_one(session, NUMBERED, tenant_id=endpoint.tenant_id, sequence=request.sequence)
        return None if row is None else event_of(row)

    async def record_requested(
        self, session: SqlSession, endpoint: LeasedWebhook, event_id: str, attempt: WebhookAttempt | None
    ) -> None:
        await fetch_one(
            session,
            RECORD_REQUESTED,
            tenant_id=endpoint.tenant_id,
            endpoint_id=endpoint.endpoint_id,
            sender=endpoint.leased_by,
            event_id=event_id,
            is_delivered=attempt is not None and attempt.is_delivered,
            **_columns([] if attempt is None else [attempt]),
        )

    async def queue_mails(self, session: SqlSession, tenant_id: str, endpoint_id: str, now: datetime) -> None:
        owners = [row.user_id for row in await fetch_all(session, OWNERS, tenant_id=tenant_id)]
        await fetch_one(
            session,
            QUEUE_MAILS,
            mail_ids=[uuid_utils.uuid7().hex for _ in owners],
            user_ids=owners,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            now=now,
        )


def _columns(attempts: Sequence[WebhookAttempt]) -> dict[str, list[Any]]:
    return {
        "tried_attempt_id": [new_attempt_id() for _ in attempts],
        "tried_event_id": [each.event_id for each in attempts],
        "tried_event_type": [each.event_type for each in attempts],
        "tried_sequence": [each.sequence for each in attempts],
        "tried_attempted_at": [each.at for each in attempts],
        "tried_status": [each.status for each in attempts],
        "tried_error": [each.error for each in attempts],
        "tried_latency_ms": [each.latency_ms for each in attempts],
    }
