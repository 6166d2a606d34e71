"""Webhook endpoints, and what became of sending them events."""

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime

import uuid_utils

from hoc.cus.account.L5_schemas.events import (
    WebhookChangedEventData,
    WebhookCreatedEventData,
    WebhookDeletedEventData,
    WebhookDisabledEventData,
    WebhookSecretRotatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Versioned, Window
from hoc.cus.account.L5_schemas.values import Role, WebhookDisabled, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    DEPLOYMENT,
    LeasedWebhook,
    PendingEvent,
    SetAsideEventResult,
    WebhookAttempt,
    WebhookAttemptResult,
    WebhookProgress,
    WebhookResult,
    WebhookTerms,
)
from hoc.testing.database import MemorySession
from hoc.testing.rows import WebhookRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


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

    async def attempts(
        self, session: MemorySession, tenant_id: str, endpoint_id: str, window: Window
    ) -> UncountedSlice[WebhookAttemptResult]:
        found = slice_of(
            (
                (
                    SortKey(row.at, key[2]),
                    combine(WebhookAttemptResult, row, attempted_at=row.at, status_code=row.status),
                )
                for key, row in self.read(session).webhook_attempts.items()
                if key[:2] == (tenant_id, endpoint_id)
            ),
            window,
            newest_first=True,
        )
        return UncountedSlice(found.rows, found.last_key, found.has_more)

    async def set_aside(
        self, session: MemorySession, tenant_id: str, endpoint_id: str, window: Window
    ) -> Slice[SetAsideEventResult]:
        return slice_of(
            (
                (SortKey(row.set_aside_at, row.event_id), row)
                for key, row in self.read(session).webhooks_set_aside.items()
                if key[:2] == (tenant_id, endpoint_id)
            ),
            window,
        )

    async def send_again(
        self, session: MemorySession, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> bool:
        tables = await self.write(session)
        is_known = (tenant_id, endpoint_id, event_id) in tables.webhooks_set_aside or any(
            key[:2] == (tenant_id, endpoint_id) and row.event_id == event_id and row.sequence is not None
            for key, row in tables.webhook_attempts.items()
        )
        if is_known:
            _request(tables, tenant_id, endpoint_id, event_id, now)
        return is_known

    async def send_test(
        self, session: MemorySession, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> None:
        _request(await self.write(session), tenant_id, endpoint_id, event_id, now)


class MemoryWebhookDeliveries(MemoryStore):
    """What a sender does: it leases an endpoint, reads what is to be sent, and says what came of it."""

    async def lease(
        self, session: MemorySession, tenant_id: str | None, endpoint_id: str, now: datetime
    ) -> LeasedWebhook:
        """The endpoint, due or not, for one sender."""
        tables = await self.write(session)
        key = (tenant_id or DEPLOYMENT, endpoint_id)
        row = tables.webhooks[key] = replace(tables.webhooks[key], leased_by=uuid_utils.uuid7().hex)
        has_overlap = row.previous_secret_until is not None and row.previous_secret_until > now
        secrets = (row.secret, row.previous_secret if has_overlap else None)
        return LeasedWebhook(
            tenant_id=row.tenant_id,
            endpoint_id=row.endpoint_id,
            leased_by=row.leased_by or "",
            url=row.url,
            secrets=tuple(secret for secret in secrets if secret is not None),
            event_types=row.event_types,
            is_enabled=row.status is WebhookStatus.ENABLED,
            sequence=row.sequence,
            failures=row.failures,
            failing_since=row.failing_since,
            has_requests=any(each[:2] == key for each in tables.webhook_sends),
        )

    async def pending(
        self, session: MemorySession, endpoint: LeasedWebhook, limit: int
    ) -> list[PendingEvent]:
        tables = self.read(session)
        tried = [
            row
            for key, row in tables.webhook_attempts.items()
            if key[:2] == (endpoint.tenant_id, endpoint.endpoint_id)
        ]
        return [
            PendingEvent(
                event,
                sequence,
                refusals=sum(row.is_refused for row in tried if row.sequence == sequence),
                is_delivered=any(row.is_delivered for row in tried if row.sequence == sequence),
            )
            for sequence, event in enumerate(tables.numbered_events(), start=1)
            if sequence > endpoint.sequence
            and endpoint.tenant_id in {DEPLOYMENT, event.tenant_id}
            and (endpoint.event_types is None or event.type in endpoint.event_types)
        ][:limit]

    async def record(
        self, session: MemorySession, endpoint: LeasedWebhook, progress: WebhookProgress, now: datetime
    ) -> LeasedWebhook | None:
        tables = await self.write(session)
        key = (endpoint.tenant_id, endpoint.endpoint_id)
        row = tables.webhooks.get(key)
        if row is None or row.leased_by != endpoint.leased_by:
            return None
        tables.webhooks[key] = replace(
            row, sequence=progress.sequence, failures=progress.failures, failing_since=progress.failing_since
        )
        for attempt in progress.attempts:
            tables.webhook_attempts[*key, uuid_utils.uuid7().hex] = attempt
        for each in progress.set_aside:
            tables.webhooks_set_aside[*key, each.event_id] = combine(
                SetAsideEventResult, each, set_aside_at=now, status_code=each.status
            )
        if progress.disabled is None:
            return progress.applied_to(endpoint)
        tables.webhooks[key] = replace(
            tables.webhooks[key],
            status=WebhookStatus.DISABLED,
            disabled_reason=progress.disabled,
            due_at=None,
            leased_by=None,
            version=row.version + 1,
        )
        event = WebhookDisabledEventData(row.tenant_id or None, row.endpoint_id, progress.disabled, now)
        tables.record(event, actor=None, at=now)
        return None

    async def record_requested(
        self,
        session: MemorySession,
        endpoint: LeasedWebhook,
        event_id: str,
        attempt: WebhookAttempt | None,
    ) -> None:
        tables = await self.write(session)
        key = (endpoint.tenant_id, endpoint.endpoint_id)
        tables.webhook_sends.pop((*key, event_id), None)
        if attempt is not None:
            tables.webhook_attempts[*key, uuid_utils.uuid7().hex] = attempt
            if attempt.is_delivered:
                tables.webhooks_set_aside.pop((*key, event_id), None)

    async def queue_mails(
        self,
        session: MemorySession,
        tenant_id: str,
        endpoint_id: str,
        now: datetime,
    ) -> None:
        tables = await self.write(session)
        for row in tables.memberships.values():
            is_owner = row.tenant_id == tenant_id and row.role is Role.OWNER
            if is_owner and tables.users[row.user_id].is_active:
                tables.webhook_mails[tenant_id, endpoint_id, row.user_id] = now


def _request(tables: Tables, tenant_id: str, endpoint_id: str, event_id: str, now: datetime) -> None:
    tables.webhook_sends[tenant_id, endpoint_id, event_id] = now
    row = tables.webhooks[tenant_id, endpoint_id]
    tables.webhooks[tenant_id, endpoint_id] = replace(row, due_at=now)


def _listed(types: tuple[str, ...] | None) -> list[str] | None:
    return None if types is None else list(types)


def _result(row: WebhookRow) -> WebhookResult:
    return combine(WebhookResult, row, event_types=_listed(row.event_types), next_attempt_at=row.due_at)
