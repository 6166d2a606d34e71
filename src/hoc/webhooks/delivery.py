"""One turn of an endpoint: what was asked for by hand, and then what follows its position, in order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_engines.webhook_deliveries import WebhookDeliveries
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.webhooks import LeasedWebhook, PendingEvent, WebhookAttempt
from hoc.cus.account.L6_drivers.webhook_deliveries import SqlWebhookDeliveries
from hoc.cus.account.L6_drivers.webhook_leases import SqlWebhookLeases
from hoc.events.waves import waves
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.observer import DeliveryObserver

BATCH: Final = 100
AT_ONCE: Final = 10
"""Events that are sent to one endpoint at the same time, of users and tenants that differ."""
TURN_SECONDS: Final = 2.0
"""Then other endpoints that are due get their turn, if an endpoint has more to be sent."""

Transaction: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
LeaseEnd: TypeAlias = Callable[[LeasedWebhook], float]
"""When an endpoint's lease ends, by the loop's clock. It is extended meanwhile."""


class Delivery:
    """Sends to leased endpoints. No transaction is open while an event is sent."""

    def __init__(
        self,
        transaction: Transaction,
        deliveries: WebhookDeliveries,
        client: WebhookClient,
        lease_end: LeaseEnd,
        observer: DeliveryObserver | None = None,
    ) -> None:
        self._transaction = transaction
        self._deliveries = deliveries
        self._client = client
        self._lease_end = lease_end
        self._observer = observer
        self._rows = SqlWebhookDeliveries()
        self._leases = SqlWebhookLeases()

    async def take_turn(self, endpoint: LeasedWebhook) -> None:
        """Send what there is, for about two seconds, and end the lease."""
        if endpoint.has_requests:
            await self._send_requested(endpoint)
        turn_ends = asyncio.get_running_loop().time() + TURN_SECONDS
        left: LeasedWebhook | None = endpoint
        has_more = endpoint.is_enabled
        while left is not None and has_more and asyncio.get_running_loop().time() < turn_ends:
            async with self._transaction() as session:
                pending = await self._rows.pending(session, left, BATCH)
            left = await self._send_pending(left, pending, turn_ends)
            has_more = left is not None and left.retry_at is None and not _is_all(pending, left)
        if left is not None:
            async with self._transaction() as session:
                await self._leases.release(session, left, retry_at=left.retry_at, is_due=has_more)

    async def _send_requested(self, endpoint: LeasedWebhook) -> None:
        async with self._transaction() as session:
            requested = await self._rows.requested(session, endpoint, BATCH)
        for request in requested:
            attempt = None if request.event is None else await self._send(endpoint, request.event)
            async with self._transaction() as session:
                await self._rows.record_requested(session, endpoint, request.event_id, attempt)

    async def _send_pending(
        self, endpoint: LeasedWebhook, pending: Sequence[PendingEvent], turn_ends: float
    ) -> LeasedWebhook | None:
        """Send events wave by wave, until one is not settled or the turn ends. Returns the endpoint then.

        None: nothing more is to be sent, because the lease is lost, or the endpoint disabled or deleted.
        """
        left = endpoint
        unsent = [each.event for each in pending if not each.is_delivered]
        if not unsent and pending:
            return await self._record(left, pending, [])
        for events in _together(unsent):
            attempts = await asyncio.gather(*(self._send(left, event) for event in events))
            recorded = await self._record(left, pending, attempts)
            if recorded is None:
                return None
            left = recorded
            if left.retry_at is not None or asyncio.get_running_loop().time() >= turn_ends:
                break
        return left

    async def _record(
        self, endpoint: LeasedWebhook, pending: Sequence[PendingEvent], attempts: Sequence[WebhookAttempt]
    ) -> LeasedWebhook | None:
        async with self._transaction() as session:
            return await self._deliveries.record(session, endpoint, pending, attempts)

    async def _send(self, endpoint: LeasedWebhook, event: EventResult) -> WebhookAttempt:
        attempt = await self._client.send(endpoint, event, self._lease_end(endpoint))
        if self._observer is not None:
            self._observer.attempted(attempt, (utc_now() - event.time).total_seconds())
        return attempt


def _is_all(pending: Sequence[PendingEvent], left: LeasedWebhook) -> bool:
    """Whether these are the last events, and settled. What is numbered later wakes the endpoint."""
    return len(pending) < BATCH and (not pending or left.sequence >= pending[-1].sequence)


def _together(events: Sequence[EventResult]) -> Iterator[list[EventResult]]:
    """The events in waves of at most ten. Those with a common user or tenant are in different ones."""
    for wave in waves(events):
        for start in range(0, len(wave), AT_ONCE):
            yield wave[start : start + AT_ONCE]
