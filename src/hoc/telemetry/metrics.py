"""The Prometheus metrics of the service. docs/how-to/observe.md explains each."""

import os
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hoc.cus.account.L5_schemas.webhooks import WebhookAttempt

# Read at import, because prometheus_client reads it at import.
MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR" in os.environ

# A registry of its own, because any library may add metrics to the client's default one.
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

REQUEST_SECONDS: Final = Histogram(
    "hoc_http_request_duration_seconds",
    "Duration of answered requests.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
REQUESTS_REFUSED: Final = Counter(
    "hoc_http_requests_refused_total",
    "Requests refused before they reached a route.",
    ("reason",),
    registry=REGISTRY,
)
POOL_SIZE: Final = Gauge(
    "hoc_database_pool_size",
    "Database connections that may be open.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_CHECKED_OUT: Final = Gauge(
    "hoc_database_pool_checked_out",
    "Database connections in use.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
REPLICA_LAG_SECONDS: Final = Gauge(
    "hoc_replica_lag_seconds",
    "Age of the newest state that the replica is known to have.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
REPLICA_IN_USE: Final = Gauge(
    "hoc_replica_in_use",
    "1 while the replica is read, 0 while the primary answers its reads too.",
    multiprocess_mode="livemin",
    registry=REGISTRY,
)
OUTBOX_BACKLOG: Final = Gauge(
    "hoc_outbox_backlog",
    "Events waiting to be published.",
    multiprocess_mode="livemostrecent",  # all workers ask the same database
    registry=REGISTRY,
)
OUTBOX_OLDEST_SECONDS: Final = Gauge(
    "hoc_outbox_oldest_seconds",
    "Age of the oldest event waiting to be published; 0 without one.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
RELAY_LAG_SECONDS: Final = Histogram(
    "hoc_relay_lag_seconds",
    "Time from an event to the acknowledgement of its publication.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800),
    registry=REGISTRY,
)
EVENTS_PUBLISHED: Final = Counter(
    "hoc_events_published_total", "Events that were published and acknowledged.", registry=REGISTRY
)
EVENTS_PARKED: Final = Counter(
    "hoc_events_parked_total",
    "Events that were parked because they cannot be published.",
    registry=REGISTRY,
)
INBOUND_MESSAGES: Final = Counter(
    "hoc_inbound_messages_total", "Messages received from others.", ("outcome",), registry=REGISTRY
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "hoc_webhook_attempts_total",
    "Attempts to deliver events to webhook endpoints.",
    ("outcome",),
    registry=REGISTRY,
)
WEBHOOK_LAG_SECONDS: Final = Histogram(
    "hoc_webhook_lag_seconds",
    "Time from an event to its delivery to a webhook endpoint.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 14_400),
    registry=REGISTRY,
)

# The client takes longer to look up the labels than to observe the value.
_request_seconds = cache(REQUEST_SECONDS.labels)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    _request_seconds(method, route, status).observe(seconds)


class EventMetrics:
    """Counts published, parked and received events, and deliveries to webhook endpoints.

    An `hoc.events.observer.EventObserver` and an `hoc.webhooks.observer.DeliveryObserver`.
    """

    def published(self, seconds: float) -> None:
        EVENTS_PUBLISHED.inc()
        RELAY_LAG_SECONDS.observe(seconds)

    def dead_lettered(self) -> None:
        EVENTS_PARKED.inc()

    def received(self, outcome: str) -> None:
        INBOUND_MESSAGES.labels(outcome).inc()

    def attempted(self, attempt: WebhookAttempt, lag_seconds: float) -> None:
        if attempt.is_delivered:
            WEBHOOK_LAG_SECONDS.observe(lag_seconds)
        outcome = "delivered" if attempt.is_delivered else "refused" if attempt.is_refused else "failed"
        WEBHOOK_ATTEMPTS.labels(outcome).inc()

    def waiting(self, events: int, oldest_seconds: float) -> None:
        OUTBOX_BACKLOG.set(events)
        OUTBOX_OLDEST_SECONDS.set(oldest_seconds)
