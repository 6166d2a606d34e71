"""The sender: wakes endpoints for newly numbered events, leases those that are due, and sends to them.

Any number of senders share the endpoints. Each endpoint is leased, so that one sender at a time sends to it.
A sender renews its leases; those of a sender that died end within seconds, and what it had sent without
recording it is sent again with the same id.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_engines.webhook_deliveries import WebhookDeliveries
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.webhooks import LeasedWebhook
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.webhook_leases import LEASE, SqlWebhookLeases
from hoc.database import Database
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.delivery import Delivery
from hoc.webhooks.observer import DeliveryObserver

AT_ONCE: Final = 64
"""Endpoints to which one process sends at the same time."""
FAILING_AT_ONCE: Final = 32
"""Of these, those that failed the last time: they may take the whole deadline."""
WAKE_BATCH: Final = 5_000
POLL_SECONDS: Final = 0.5
RENEW_SECONDS: Final = 3.0
GRACE_SECONDS: Final = 5.0
TRANSACTIONS_AT_ONCE: Final = 4  # so that webhooks leave the pool's connections to requests

_log = logging.getLogger("hoc.webhooks")


class WebhookSender:
    def __init__(
        self,
        database: Database,
        deliveries: WebhookDeliveries,
        new_client: Callable[[], WebhookClient],
        *,
        observer: DeliveryObserver | None = None,
    ) -> None:
        self._database = database
        self._deliveries = deliveries
        self._new_client = new_client
        self._observer = observer
        self._leases = SqlWebhookLeases()
        self._turns = PerLoop(lambda: asyncio.Semaphore(TRANSACTIONS_AT_ONCE))
        self._tasks: dict[asyncio.Task[None], bool] = {}
        self._lease_ends: dict[tuple[str, str, str], float] = {}
        self._delivery: Delivery | None = None
        self._loop = self._background(self._send_due, "hoc-webhooks", POLL_SECONDS)
        self._renewing = self._background(self._renew, "hoc-webhook-leases", RENEW_SECONDS)

    def _background(self, work: Callable[[], Awaitable[bool]], name: str, pause: float) -> BackgroundLoop:
        return BackgroundLoop(
            work, name=name, subject="webhooks", pause_seconds=pause, explain=explain_outage, logger=_log
        )

    def wake(self) -> None:
        """Look for newly numbered events now instead of at the next poll."""
        self._loop.wake()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Send in the background. At the end, what is being sent gets five seconds, and leases end."""
        client = self._new_client()
        self._delivery = Delivery(
            self._transaction, self._deliveries, client, self._lease_end, observer=self._observer
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.close)
            stack.push_async_callback(self._end_turns)
            await stack.enter_async_context(self._renewing.running())
            await stack.enter_async_context(self._loop.running())
            yield

    async def _send_due(self) -> bool:
        """One round. Returns whether the next is to follow at once."""
        async with self._statement() as session:
            woken = await self._leases.wake(session, WAKE_BATCH)
        has_more = [await self._claim(failing=failing) for failing in (False, True)]
        return woken == WAKE_BATCH or any(has_more)

    async def _claim(self, *, failing: bool) -> bool:
        """Start turns of due endpoints, as many as there is room for. Returns whether more may be due."""
        room = AT_ONCE - len(self._tasks)
        if failing:
            room = min(room, FAILING_AT_ONCE - sum(self._tasks.values()))
        if room <= 0:
            return False
        ends = asyncio.get_running_loop().time() + LEASE.total_seconds()
        async with self._statement() as session:
            claimed = await self._leases.claim(session, uuid.uuid4().hex, room, failing=failing)
        for endpoint in claimed:
            self._lease_ends[_lease_of(endpoint)] = ends
            task = asyncio.create_task(self._take_turn(endpoint), name="hoc-webhook-turn")
            self._tasks[task] = failing
            task.add_done_callback(self._ended)
        return len(claimed) == room and len(self._tasks) < AT_ONCE

    async def _take_turn(self, endpoint: LeasedWebhook) -> None:
        assert self._delivery is not None  # noqa: S101 - turns start only while it runs
        try:
            await self._delivery.take_turn(endpoint)
        finally:
            self._lease_ends.pop(_lease_of(endpoint), None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        is_full = len(self._tasks) >= AT_ONCE
        del self._tasks[task]
        if is_full:
            self.wake()
        if task.cancelled() or (problem := task.exception()) is None:
            return
        if not isinstance(problem, UnavailableError):
            _log.error("a webhook endpoint waits for %s: %s", LEASE, type(problem).__name__, exc_info=problem)

    def _lease_end(self, endpoint: LeasedWebhook) -> float:
        return self._lease_ends.get(_lease_of(endpoint), 0.0)

    async def _renew(self) -> bool:
        if self._lease_ends:
            ends = asyncio.get_running_loop().time() + LEASE.total_seconds()
            async with self._statement() as session:
                renewed = await self._leases.renew(session, [*self._lease_ends])
            for key in renewed & self._lease_ends.keys():
                self._lease_ends[key] = ends
        return False

    async def _end_turns(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection]:
        async with self._turns.get(), self._database.transaction() as session:
            yield session

    @asynccontextmanager
    async def _statement(self) -> AsyncGenerator[SqlSession]:
        async with self._turns.get(), self._database.reading() as session:
            yield session


def _lease_of(endpoint: LeasedWebhook) -> tuple[str, str, str]:
    """Each claim has an id of its own, so that who lost a lease does not take the next one for its own."""
    return endpoint.tenant_id, endpoint.endpoint_id, endpoint.leased_by
