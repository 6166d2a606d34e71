"""What became of sending events to a webhook endpoint, and what is to be sent to it once more."""

from datetime import datetime

import uuid_utils
from sqlalchemy import Integer, String, case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.webhooks import SetAsideEventResult, WebhookAttemptResult
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import (
    webhook_attempts,
    webhook_endpoints,
    webhook_sends,
    webhook_set_aside,
)
from hoc.cus.account.L6_drivers.webhooks import ENDPOINT, THIS_ENDPOINT

EVENT = param("event_id", String)

_ATTEMPT = (
    webhook_attempts.c.event_id,
    webhook_attempts.c.event_type,
    webhook_attempts.c.attempted_at,
    webhook_attempts.c.status.label("status_code"),
    webhook_attempts.c.error,
    webhook_attempts.c.latency_ms,
)


def _attempts(*, after: bool) -> AnySelect:
    table = webhook_attempts
    found = select(*_ATTEMPT, table.c.attempt_id).where(
        table.c.tenant_id == TENANT, table.c.endpoint_id == ENDPOINT
    )
    if after:
        position = func.row(param("after_at", DateTime(timezone=True)), param("after_id", String))
        found = found.where(func.row(table.c.attempted_at, table.c.attempt_id) < position)
    return (
        found.order_by(table.c.attempted_at.desc(), table.c.attempt_id.desc())
        .limit(param("limit", Integer))
        .offset(param("offset", Integer))
    )


ATTEMPTS = {after: _attempts(after=after) for after in (False, True)}
_THIS_SET_ASIDE = (webhook_set_aside.c.tenant_id == TENANT) & (webhook_set_aside.c.endpoint_id == ENDPOINT)
SET_ASIDE = Paged(
    select(
        webhook_set_aside.c.event_id,
        webhook_set_aside.c.event_type,
        webhook_set_aside.c.set_aside_at,
        webhook_set_aside.c.status.label("status_code"),
    ).where(_THIS_SET_ASIDE),
    at=webhook_set_aside.c.set_aside_at,
    row_id=webhook_set_aside.c.event_id,
    total=select(func.count()).select_from(webhook_set_aside).where(_THIS_SET_ASIDE).scalar_subquery(),
)

_SEND_COLUMNS = ["tenant_id", "endpoint_id", "event_id", "sequence", "requested_at"]


def _send_again() -> AnySelect:
    known = [
        select(table.c.sequence).where(
            table.c.tenant_id == TENANT, table.c.endpoint_id == ENDPOINT, table.c.event_id == EVENT
        )
        for table in (webhook_attempts, webhook_set_aside)
    ]
    found = known[0].union_all(known[1]).subquery("found")
    sent = (
        insert(webhook_sends)
        .from_select(
            _SEND_COLUMNS,
            select(TENANT, ENDPOINT, EVENT, found.c.sequence, NOW)
            .where(found.c.sequence.is_not(None))
            .limit(1),
        )
        .on_conflict_do_update(
            index_elements=[webhook_sends.c.tenant_id, webhook_sends.c.endpoint_id, webhook_sends.c.event_id],
            set_={"requested_at": NOW},
        )
        .returning(webhook_sends.c.event_id)
    )
    return select(sent.cte("sent").c.event_id)


SEND_AGAIN = _send_again()
SEND_TEST = (
    insert(webhook_sends)
    .values(tenant_id=TENANT, endpoint_id=ENDPOINT, event_id=EVENT, requested_at=NOW)
    .returning(webhook_sends.c.event_id)
)
MAKE_DUE = (
    update(webhook_endpoints)
    .where(THIS_ENDPOINT)
    .values(
        due_at=case((webhook_endpoints.c.leased_by.is_(None), NOW), else_=webhook_endpoints.c.due_at),
        is_woken=webhook_endpoints.c.leased_by.is_not(None),
    )
    .returning(webhook_endpoints.c.endpoint_id)
)
"""Have a sender look at the endpoint now, or once the one that does has ended."""

_attempt = record_of(WebhookAttemptResult, *ATTEMPTS.values())
_set_aside = record_of(SetAsideEventResult, SET_ASIDE)


class SqlWebhookHistory:
    async def attempts(
        self, session: SqlSession, tenant_id: str, endpoint_id: str, window: Window
    ) -> UncountedSlice[WebhookAttemptResult]:
        after = {} if window.after is None else {"after_at": window.after.at, "after_id": window.after.id}
        rows = await fetch_all(
            session,
            ATTEMPTS[bool(after)],
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            limit=window.limit + 1,
            offset=window.offset,
            **after,
        )
        shown = rows[: window.limit]
        return UncountedSlice(
            rows=[_attempt(row) for row in shown],
            last_key=SortKey(shown[-1].attempted_at, shown[-1].attempt_id) if shown else None,
            has_more=len(rows) > window.limit,
        )

    async def set_aside(
        self, session: SqlSession, tenant_id: str, endpoint_id: str, window: Window
    ) -> Slice[SetAsideEventResult]:
        return await SET_ASIDE.fetch(
            session, window, _set_aside, tenant_id=tenant_id, endpoint_id=endpoint_id
        )

    async def send_again(
        self, session: SqlSession, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> bool:
        key = {"tenant_id": tenant_id, "endpoint_id": endpoint_id}
        found = await fetch_one(session, SEND_AGAIN, **key, event_id=event_id, now=now)
        if found is None:
            return False
        await fetch_one(session, MAKE_DUE, **key, now=now)
        return True

    async def send_test(
        self, session: SqlSession, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> None:
        key = {"tenant_id": tenant_id, "endpoint_id": endpoint_id}
        await fetch_one(session, SEND_TEST, **key, event_id=event_id, now=now)
        await fetch_one(session, MAKE_DUE, **key, now=now)


def new_attempt_id() -> str:
    return uuid_utils.uuid7().hex
