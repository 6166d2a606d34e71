"""What an attempt to deliver an event decides: the next one, an event set aside, an endpoint disabled."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.values import WebhookDisabled
from hoc.cus.account.L5_schemas.webhooks import (
    LeasedWebhook,
    PendingEvent,
    WebhookAttempt,
    WebhookProgress,
)

MAX_REFUSALS: Final = 10
"""After so many 4xx answers, an event is set aside."""
PATIENCE: Final = timedelta(days=3)
"""An endpoint that has taken nothing for so long is disabled."""
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
LONGEST_RETRY_AFTER: Final = timedelta(days=1)
GONE: Final = 410


class WebhookDeliveryStore(Protocol):
    async def record(
        self, session: Session, endpoint: LeasedWebhook, progress: WebhookProgress, now: datetime
    ) -> LeasedWebhook | None:
        """Store attempts and what follows. None: the lease is lost, or the endpoint gone or disabled."""
        ...

    async def record_requested(
        self, session: Session, endpoint: LeasedWebhook, event_id: str, attempt: WebhookAttempt | None
    ) -> None:
        """Store the attempt that was asked for, None if the event is no longer kept, and forget the wish."""
        ...

    async def queue_mails(self, session: Session, tenant_id: str, endpoint_id: str, now: datetime) -> None:
        """Queue a mail to each of the tenant's active owners."""
        ...


class WebhookDeliveries:
    def __init__(
        self,
        deliveries: WebhookDeliveryStore,
        *,
        options: Options | None = None,
        clock: Clock = utc_now,
        jitter: random.Random | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._options = options or Options()
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 - it only spreads retries

    async def record(
        self,
        session: Session,
        endpoint: LeasedWebhook,
        pending: Sequence[PendingEvent],
        attempts: Sequence[WebhookAttempt],
    ) -> LeasedWebhook | None:
        """Decide by attempts to deliver some of the ``pending`` events, which follow the endpoint's position.

        A 2xx answer delivers, 410 disables the endpoint. Any other 4xx but 408 and 429 refuses: after ten of
        these an event is set aside, and those behind it flow. Everything else is tried again, with pauses
        that double up to an hour. An endpoint that has taken nothing for three days is disabled.

        Returns the endpoint as it is now, None if nothing more is to be sent to it.
        """
        now = self._clock()
        progress = self._progress(endpoint, pending, attempts, now)
        left = await self._deliveries.record(session, endpoint, progress, now)
        if progress.disabled is not None and endpoint.tenant_id and self._options.send_mail:
            await self._deliveries.queue_mails(session, endpoint.tenant_id, endpoint.endpoint_id, now)
        return left

    def _progress(
        self,
        endpoint: LeasedWebhook,
        pending: Sequence[PendingEvent],
        attempts: Sequence[WebhookAttempt],
        now: datetime,
    ) -> WebhookProgress:
        refusals = {each.sequence: each.refusals for each in pending}
        delivered = {attempt.sequence for attempt in attempts if attempt.is_delivered}
        set_aside = tuple(
            attempt
            for attempt in attempts
            if attempt.is_refused
            and attempt.sequence is not None
            and refusals.get(attempt.sequence, 0) + 1 >= MAX_REFUSALS
        )
        settled = delivered | {attempt.sequence for attempt in set_aside}
        failed = [attempt for attempt in attempts if attempt.sequence not in settled]
        failing_since = None if delivered else endpoint.failing_since
        failures = 0 if delivered or set_aside else endpoint.failures
        if failed:
            failing_since, failures = failing_since or now, failures + 1
        return WebhookProgress(
            sequence=_position(endpoint.sequence, pending, settled),
            failures=failures,
            failing_since=failing_since,
            attempts=tuple(attempts),
            set_aside=set_aside,
            retry_at=now + self._pause(failures, failed) if failed else None,
            disabled=_why_disabled(attempts, failing_since if failed else None, now),
        )

    def _pause(self, failures: int, failed: Sequence[WebhookAttempt]) -> timedelta:
        doubled: timedelta = min(FIRST_PAUSE * 2 ** min(failures - 1, 12), LONGEST_PAUSE)
        asked = timedelta(seconds=max(attempt.retry_after or 0 for attempt in failed))
        return max(doubled * self._jitter.uniform(0.75, 1.25), min(asked, LONGEST_RETRY_AFTER))


def _why_disabled(
    attempts: Sequence[WebhookAttempt], failing_since: datetime | None, now: datetime
) -> WebhookDisabled | None:
    if any(attempt.status == GONE for attempt in attempts):
        return WebhookDisabled.GONE
    is_failing = failing_since is not None and now - failing_since >= PATIENCE
    return WebhookDisabled.FAILING if is_failing else None


def _position(start: int, pending: Sequence[PendingEvent], settled: set[int | None]) -> int:
    """Where the endpoint is in the line of events: before the first event that is not settled."""
    for each in pending:
        if not each.is_delivered and each.sequence not in settled:
            break
        start = max(start, each.sequence)
    return start
