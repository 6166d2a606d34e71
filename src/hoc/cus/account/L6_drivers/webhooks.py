"""Webhook endpoints, as their owners see and change them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
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
from hoc.cus.account.L5_schemas.port_types import Slice, Versioned, Window
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
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
    webhook_endpoints,
)

LINE = "webhooks"
"""The cursor of waking endpoints: each event up to it has been compared with the endpoints' choices."""

ENDPOINT = param("endpoint_id", String)
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

_result = record_of(WebhookResult, FIND, PAGE)


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


def _values(terms: WebhookTerms) -> dict[str, Any]:
    types = None if terms.event_types is None else list(terms.event_types)
    return {"url": terms.url, "event_types": types, "description": terms.description}
