"""What a sender does with an endpoint, in both worlds: leasing it, reading what is to be sent, recording."""

import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, update
from support.world import MemoryWorld, World

from hoc.cus.account.L5_engines.webhook_deliveries import WebhookDeliveries
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.webhooks import DEPLOYMENT, LeasedWebhook, PendingEvent, WebhookAttempt
from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.L6_drivers.tables import webhook_endpoints
from hoc.cus.account.L6_drivers.webhook_deliveries import SqlWebhookDeliveries
from hoc.cus.account.L6_drivers.webhook_leases import SqlWebhookLeases
from hoc.testing.webhook_deliveries import MemoryWebhookDeliveries

URL = "https://hooks.example.com/hoc"


class NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - of the base class
        return 1.0


class Deliverer:
    """A sender by hand."""

    def __init__(self, world: World, options: Options | None = None) -> None:
        self._world = world
        self._rows: Any = (
            MemoryWebhookDeliveries(world.database)
            if isinstance(world, MemoryWorld)
            else SqlWebhookDeliveries()
        )
        self.rules = WebhookDeliveries(self._rows, options=options, clock=world.clock, jitter=NoJitter())

    async def lease(self, tenant_id: str | None, endpoint_id: str) -> LeasedWebhook:
        """The endpoint, due or not. All committed events are numbered."""
        async with self._world.transaction() as session:
            if not isinstance(self._world, MemoryWorld):
                await SqlEventPartitions().create(session)
                await SqlEventSequencing().create_cursors(session)
                while await SqlEventSequencing().sequence_events(session, 1_000):
                    pass
            return await self.lease_in(session, tenant_id, endpoint_id)

    async def lease_in(self, session: Any, tenant_id: str | None, endpoint_id: str) -> LeasedWebhook:
        owner = tenant_id or DEPLOYMENT
        if isinstance(self._world, MemoryWorld):
            leased: LeasedWebhook = await self._rows.lease(session, owner, endpoint_id, self._world.clock.now)
            return leased
        key = (webhook_endpoints.c.tenant_id == owner) & (webhook_endpoints.c.endpoint_id == endpoint_id)
        found = await session.execute(
            update(webhook_endpoints)
            .where(key)
            .values(due_at=func.to_timestamp(0), leased_by=None)
            .returning(webhook_endpoints.c.failing_since)
        )
        failing = found.scalar_one() is not None
        [mine] = await SqlWebhookLeases().claim(session, f"sender-{endpoint_id}", 1, failing=failing)
        assert isinstance(mine, LeasedWebhook)
        assert mine.endpoint_id == endpoint_id
        return mine

    async def pending(self, endpoint: LeasedWebhook, limit: int = 100) -> list[PendingEvent]:
        async with self._world.reading() as session:
            found: list[PendingEvent] = await self._rows.pending(session, endpoint, limit)
            return found

    async def record(
        self, endpoint: LeasedWebhook, *statuses: int | None, retry_after: int | None = None
    ) -> LeasedWebhook | None:
        """Have the first pending events be answered by these statuses, None for no answer."""
        pending = await self.pending(endpoint)
        unsent = [each for each in pending if not each.is_delivered]
        attempts = [
            self.attempt(each, status, retry_after) for each, status in zip(unsent, statuses, strict=False)
        ]
        return await self.settle(endpoint, pending, attempts)

    async def settle(
        self, endpoint: LeasedWebhook, pending: Sequence[PendingEvent], attempts: Sequence[WebhookAttempt]
    ) -> LeasedWebhook | None:
        async with self._world.transaction() as session:
            return await self.rules.record(session, endpoint, pending, attempts)

    def attempt(
        self, pending: PendingEvent, status: int | None, retry_after: int | None = None
    ) -> WebhookAttempt:
        error: Any = "timeout" if status is None else None
        event = pending.event
        return WebhookAttempt(
            event.event_id,
            event.type,
            pending.sequence,
            self._world.clock.now,
            status,
            error,
            12,
            retry_after,
        )

    async def record_requested(
        self, endpoint: LeasedWebhook, event_id: str, attempt: WebhookAttempt | None
    ) -> None:
        async with self._world.transaction() as session:
            await self._rows.record_requested(session, endpoint, event_id, attempt)
