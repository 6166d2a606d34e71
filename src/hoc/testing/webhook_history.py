"""What became of sending events to a webhook endpoint, and what is to be sent to it once more."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.webhooks import SetAsideEventResult, WebhookAttemptResult
from hoc.testing.database import MemorySession
from hoc.testing.rows import combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryWebhookHistory(MemoryStore):
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


def _request(tables: Tables, tenant_id: str, endpoint_id: str, event_id: str, now: datetime) -> None:
    tables.webhook_sends[tenant_id, endpoint_id, event_id] = now
    row = tables.webhooks[tenant_id, endpoint_id]
    tables.webhooks[tenant_id, endpoint_id] = replace(row, due_at=now)
