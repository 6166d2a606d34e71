"""Webhook endpoints, as their owners see and change them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import (
    ARRAY,
    Boolean,
    Integer,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import (
    WebhookChangedEventData,
    WebhookCreatedEventData,
    WebhookDeletedEventData,
    WebhookSecretRotatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Versioned, Window
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    SetAsideEventResult,
    WebhookAttemptResult,
    WebhookResult,
    WebhookTerms,
)
from hoc.cus.account.L6_drivers.event_sequencing import SEQUENCED
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import (
    event_cursors,
    webhook_attempts,
    webhook_endpoints,
    webhook_sends,
    webhook_set_aside,
)

LINE = "webhooks"
"""The cursor of waking endpoints: each event up to it has been compared with the endpoints' choices."""

ENDPOINT = param("endpoint_id", String)
EVENT = param("event_id", String)
OWNER = func.nullif(webhook_endpoints.c.tenant_id, literal_column("''"))
THIS_ENDPOINT = (webhook_endpoints.c.tenant_id == TENANT) & (webhook_endpoints.c.endpoint_id == ENDPOINT)
IS_IDLE = and_(
    webhook_endpoints.c.due_at.is_(None),
    webhook_endpoints.c.status == literal_column(f"'{WebhookStatus.ENABLED}'"),
)
"""Everything up to the cursor `LINE` that the endpoint is to be sent is delivered or set aside."""

RESULT = (
    webhook_endpoints.c.endpoint_id,
    webhook_endpoints.c.url,
    webhook_endpoints.c.event_types,
    webhook_endpoints.c.description,
    webhook_endpoints.c.status,
    webhook_endpoints.c.disabled_reason,
    webhook_endpoints.c.created_at,
    webhook_endpoints.c.failing_since,
    webhook_endpoints.c.due_at.label("next_attempt_at"),
    webhook_endpoints.c.previous_secret_until,
)
_TYPES = param("event_types", ARRAY(String))
_TERMS = {"url": param("url", String), "event_types": _TYPES, "description": param("description", String)}


def position(cursor: str) -> Any:  # noqa: ANN401 - a scalar select
    """How far a step of the work on events has come."""
    found = select(event_cursors.c.sequence).where(event_cursors.c.name == literal_column(f"'{cursor}'"))
    return func.coalesce(found.scalar_subquery(), literal_column("0"))


COUNT = (
    select(func.count().label("webhooks"))
    .select_from(webhook_endpoints)
    .where(webhook_endpoints.c.tenant_id == TENANT)
)

BEGIN_LINE = (
    insert(event_cursors)
    .from_select(["name", "sequence"], select(literal(LINE, String), position(SEQUENCED)))
    .on_conflict_do_nothing()
    .returning(event_cursors.c.name)
)
"""Begin to wake endpoints, from what has a number now."""


def _create() -> AnySelect:
    # It is due at once, so that it is not idle before what has been numbered meanwhile was looked at.
    created = (
        insert(webhook_endpoints)
        .from_select(
            [
                "tenant_id",
                "endpoint_id",
                *_TERMS,
                "secret",
                "sequence",
                "due_at",
                "created_at",
                "updated_at",
            ],
            select(
                TENANT,
                ENDPOINT,
                *_TERMS.values(),
                param("secret", String),
                position(SEQUENCED),
                NOW,
                NOW,
                NOW,
            ),
        )
        .returning(
            webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id, webhook_endpoints.c.event_types
        )
        .cte("created")
    )
    return select(created.c.endpoint_id).add_cte(_event(WebhookCreatedEventData, created))


def _event(kind: type[Any], done: Any, **payload: Any) -> Any:  # noqa: ANN401 - a CTE, and its columns
    """An event of an endpoint, which has no tenant where the endpoint is the whole deployment's."""
    return recorded(kind, done, tenant_id=func.nullif(done.c.tenant_id, literal_column("''")), **payload)


CREATE = _create()
PAGE = Paged(
    select(*RESULT).where(webhook_endpoints.c.tenant_id == TENANT),
    at=webhook_endpoints.c.created_at,
    row_id=webhook_endpoints.c.endpoint_id,
    total=select(func.count())
    .select_from(webhook_endpoints)
    .where(webhook_endpoints.c.tenant_id == TENANT)
    .scalar_subquery(),
)
FIND = select(*RESULT, webhook_endpoints.c.version).where(THIS_ENDPOINT)
LOCK = select(webhook_endpoints.c.endpoint_id).where(THIS_ENDPOINT).with_for_update()


def _change() -> AnySelect:
    was_enabled = webhook_endpoints.c.status == literal_column(f"'{WebhookStatus.ENABLED}'")
    is_enabled, from_now = param("is_enabled", Boolean), param("from_now", Boolean)
    due_at = case(
        (~is_enabled, null()),
        (was_enabled, webhook_endpoints.c.due_at),
        else_=cast(NOW, DateTime(timezone=True)),
    )
    # Types that are chosen now are not sent for the time before.
    sequence = case(
        (from_now, position(SEQUENCED)),
        (IS_IDLE, func.greatest(webhook_endpoints.c.sequence, position(LINE))),
        else_=webhook_endpoints.c.sequence,
    )
    changed = (
        update(webhook_endpoints)
        .where(THIS_ENDPOINT)
        .values(
            **_TERMS,
            status=case((is_enabled, WebhookStatus.ENABLED), else_=WebhookStatus.DISABLED),
            disabled_reason=case(
                (is_enabled, null()),
                else_=func.coalesce(webhook_endpoints.c.disabled_reason, WebhookDisabled.REQUESTED),
            ),
            due_at=due_at,
            leased_by=case((is_enabled & was_enabled, webhook_endpoints.c.leased_by), else_=null()),
            failures=case((is_enabled & ~was_enabled, 0), else_=webhook_endpoints.c.failures),
            failing_since=case((is_enabled & ~was_enabled, null()), else_=webhook_endpoints.c.failing_since),
            sequence=sequence,
            updated_at=NOW,
            version=webhook_endpoints.c.version + 1,
        )
        .returning(
            webhook_endpoints.c.tenant_id,
            webhook_endpoints.c.endpoint_id,
            webhook_endpoints.c.event_types,
            webhook_endpoints.c.status,
        )
        .cte("changed")
    )
    event = _event(WebhookChangedEventData, changed, updated_fields=param("changed", ARRAY(String)))
    return select(changed.c.endpoint_id).add_cte(event)


CHANGE = _change()


def _rotate() -> AnySelect:
    until = param("overlap_until", DateTime(timezone=True))
    rotated = (
        update(webhook_endpoints)
        .where(THIS_ENDPOINT)
        .values(
            secret=param("secret", String),
            previous_secret=webhook_endpoints.c.secret,
            previous_secret_until=until,
            updated_at=NOW,
            version=webhook_endpoints.c.version + 1,
        )
        .returning(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)
        .cte("rotated")
    )
    event = _event(WebhookSecretRotatedEventData, rotated, overlap_until=until)
    return select(rotated.c.endpoint_id).add_cte(event)


ROTATE = _rotate()


def _delete() -> AnySelect:
    deleted = (
        delete(webhook_endpoints)
        .where(THIS_ENDPOINT)
        .returning(webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id)
        .cte("deleted")
    )
    return select(deleted.c.endpoint_id).add_cte(_event(WebhookDeletedEventData, deleted))


DELETE = _delete()

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

_result = record_of(WebhookResult, FIND, PAGE)
_attempt = record_of(WebhookAttemptResult, *ATTEMPTS.values())
_set_aside = record_of(SetAsideEventResult, SET_ASIDE)


class SqlWebhooks:
    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def count(self, session: SqlSession, tenant_id: str) -> int:
        [row] = await fetch_all(session, COUNT, tenant_id=tenant_id)
        counted: int = row.webhooks
        return counted

    async def create(
        self,
        session: SqlSession,
        tenant_id: str,
        endpoint_id: str,
        terms: WebhookTerms,
        now: datetime,
        *,
        actor: str,
        secret: str,
    ) -> None:
        await fetch_one(session, BEGIN_LINE)
        await fetch_one(
            session,
            CREATE,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            **_values(terms),
            secret=secret,
            now=now,
            actor=actor,
        )

    async def page(self, session: SqlSession, tenant_id: str, window: Window) -> Slice[WebhookResult]:
        return await PAGE.fetch(session, window, _result, tenant_id=tenant_id)

    async def find(
        self, session: SqlSession, tenant_id: str, endpoint_id: str
    ) -> Versioned[WebhookResult] | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, endpoint_id=endpoint_id)
        return None if row is None else Versioned(_result(row), row.version)

    async def lock(self, session: SqlSession, tenant_id: str, endpoint_id: str) -> None:
        await fetch_one(session, LOCK, tenant_id=tenant_id, endpoint_id=endpoint_id)

    async def change(
        self,
        session: SqlSession,
        tenant_id: str,
        endpoint_id: str,
        terms: WebhookTerms,
        now: datetime,
        *,
        actor: str,
        is_enabled: bool,
        from_now: bool,
        changed: Collection[str],
    ) -> None:
        await fetch_one(
            session,
            CHANGE,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            **_values(terms),
            is_enabled=is_enabled,
            from_now=from_now,
            changed=list(changed),
            now=now,
            actor=actor,
        )

    async def rotate(
        self,
        session: SqlSession,
        tenant_id: str,
        endpoint_id: str,
        secret: str,
        now: datetime,
        *,
        actor: str,
        overlap_until: datetime,
    ) -> None:
        await fetch_one(
            session,
            ROTATE,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            secret=secret,
            overlap_until=overlap_until,
            now=now,
            actor=actor,
        )

    async def delete(
        self, session: SqlSession, tenant_id: str, endpoint_id: str, now: datetime, *, actor: str
    ) -> None:
        await fetch_one(session, DELETE, tenant_id=tenant_id, endpoint_id=endpoint_id, now=now, actor=actor)

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


def _values(terms: WebhookTerms) -> dict[str, Any]:
    types = None if terms.event_types is None else list(terms.event_types)
    return {"url": terms.url, "event_types": types, "description": terms.description}


def new_attempt_id() -> str:
    return uuid_utils.uuid7().hex
