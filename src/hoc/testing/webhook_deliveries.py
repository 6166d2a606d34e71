"""What a sender of webhooks does."""

from dataclasses import replace
from datetime import datetime

import uuid_utils

from hoc.cus.account.L5_schemas.events import WebhookDisabledEventData
from hoc.cus.account.L5_schemas.values import Role, WebhookStatus
from hoc.cus.account.L5_schemas.webhooks import (
    DEPLOYMENT,
    LeasedWebhook,
    PendingEvent,
    SetAsideEventResult,
    WebhookAttempt,
    WebhookProgress,
)
from hoc.testing.database import MemorySession
from hoc.testing.rows import combine
from hoc.testing.store import MemoryStore


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
