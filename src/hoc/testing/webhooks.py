"""Webhook endpoints, and what became of sending them events."""

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import (
    WebhookChangedEventData,
    WebhookCreatedEventData,
    WebhookDeletedEventData,
    WebhookSecretRotatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Versioned, Window
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    WebhookResult,
    WebhookTerms,
)
from hoc.testing.database import MemorySession
from hoc.testing.rows import WebhookRow, combine
from hoc.testing.store import MemoryStore, slice_of


class MemoryWebhooks(MemoryStore):
    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def count(self, session: MemorySession, tenant_id: str) -> int:
        return sum(owner_id == tenant_id for owner_id, _ in self.read(session).webhooks)

    async def create(
        self,
        session: MemorySession,
        tenant_id: str,
        endpoint_id: str,
        terms: WebhookTerms,
        now: datetime,
        *,
        actor: str,
        secret: str,
    ) -> None:
        tables = await self.write(session)
        tables.webhooks[tenant_id, endpoint_id] = WebhookRow(
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            **asdict(terms),
            secret=secret,
            sequence=len(tables.events),
            due_at=now,
            created_at=now,
        )
        event = WebhookCreatedEventData(
            tenant_id or None, endpoint_id, _listed(terms.event_types), created_at=now
        )
        tables.record(event, actor=actor, at=now)

    async def page(self, session: MemorySession, tenant_id: str, window: Window) -> Slice[WebhookResult]:
        return slice_of(
            (
                (SortKey(row.created_at, row.endpoint_id), _result(row))
                for row in self.read(session).webhooks.values()
                if row.tenant_id == tenant_id
            ),
            window,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, endpoint_id: str
    ) -> Versioned[WebhookResult] | None:
        row = self.read(session).webhooks.get((tenant_id, endpoint_id))
        return None if row is None else Versioned(_result(row), row.version)

    async def lock(self, session: MemorySession, tenant_id: str, endpoint_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def change(
        self,
        session: MemorySession,
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
        tables = await self.write(session)
        row = tables.webhooks[tenant_id, endpoint_id]
        status = WebhookStatus.ENABLED if is_enabled else WebhookStatus.DISABLED
        stored = replace(row, **asdict(terms), status=status, version=row.version + 1)
        if not is_enabled:
            reason = row.disabled_reason or WebhookDisabled.REQUESTED
            stored = replace(stored, disabled_reason=reason, due_at=None, leased_by=None)
        elif row.status is WebhookStatus.DISABLED:
            sequence = len(tables.events) if from_now else row.sequence
            stored = replace(
                stored, disabled_reason=None, due_at=now, failures=0, failing_since=None, sequence=sequence
            )
        tables.webhooks[tenant_id, endpoint_id] = stored
        event = WebhookChangedEventData(
            tenant_id or None,
            endpoint_id,
            _listed(terms.event_types),
            status,
            list(changed),
            changed_at=now,
        )
        tables.record(event, actor=actor, at=now)

    async def rotate(
        self,
        session: MemorySession,
        tenant_id: str,
        endpoint_id: str,
        secret: str,
        now: datetime,
        *,
        actor: str,
        overlap_until: datetime,
    ) -> None:
        tables = await self.write(session)
        row = tables.webhooks[tenant_id, endpoint_id]
        tables.webhooks[tenant_id, endpoint_id] = replace(
            row,
            secret=secret,
            previous_secret=row.secret,
            previous_secret_until=overlap_until,
            version=row.version + 1,
        )
        event = WebhookSecretRotatedEventData(tenant_id or None, endpoint_id, overlap_until, rotated_at=now)
        tables.record(event, actor=actor, at=now)

    async def delete(
        self, session: MemorySession, tenant_id: str, endpoint_id: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        del tables.webhooks[tenant_id, endpoint_id]
        for rows in (tables.webhook_attempts, tables.webhooks_set_aside, tables.webhook_sends):
            for key in [key for key in rows if key[:2] == (tenant_id, endpoint_id)]:
                del rows[key]
        event = WebhookDeletedEventData(tenant_id or None, endpoint_id, deleted_at=now)
        tables.record(event, actor=actor, at=now)


def _listed(types: tuple[str, ...] | None) -> list[str] | None:
    return None if types is None else list(types)


def _result(row: WebhookRow) -> WebhookResult:
    return combine(WebhookResult, row, event_types=_listed(row.event_types), next_attempt_at=row.due_at)
