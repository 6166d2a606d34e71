"""Webhook endpoints: where events are sent, and what became of sending them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookError

DEPLOYMENT: Final = ""
"""The owner, in place of a tenant's id, of endpoints that are sent the events of the whole deployment."""
TEST_EVENT: Final = "webhook.test"
"""The type of a test. It is in no line of events."""


@dataclass(frozen=True)
class WebhookResult:
    """A webhook endpoint.

    ``event_types`` are those that it is sent, null for all. It has taken nothing since ``failing_since``.
    ``next_attempt_at`` is null if nothing waits to be sent. Until ``previous_secret_until``, what is sent has
    a signature of the secret before too.
    """

    endpoint_id: str
    url: str
    event_types: list[str] | None
    description: str | None
    status: str
    disabled_reason: str | None
    created_at: datetime
    failing_since: datetime | None
    next_attempt_at: datetime | None
    previous_secret_until: datetime | None


@dataclass(frozen=True)
class WebhooksListResult:
    webhooks: list[WebhookResult]
    total: int


@dataclass(frozen=True)
class WebhookSecretResult:
    """A new secret, which no other answer has. Its repr does not show it."""

    endpoint_id: str
    secret: str = field(repr=False)
    previous_secret_until: datetime | None


@dataclass(frozen=True)
class WebhookDeletedResult:
    message: str
    endpoint_id: str


@dataclass(frozen=True)
class WebhookSendResult:
    """An event that will be sent once, soon. The list of attempts shows what became of it."""

    message: str
    event_id: str


@dataclass(frozen=True)
class WebhookAttemptResult:
    """One attempt to deliver an event. Without a ``status_code`` there was no answer: ``error`` says why."""

    event_id: str
    event_type: str
    attempted_at: datetime
    status_code: int | None
    error: str | None
    latency_ms: int


@dataclass(frozen=True)
class WebhookAttemptsListResult:
    attempts: list[WebhookAttemptResult]
    has_more: bool


@dataclass(frozen=True)
class SetAsideEventResult:
    """An event that the endpoint has refused too often. ``status_code`` is that of its last answer."""

    event_id: str
    event_type: str
    set_aside_at: datetime
    status_code: int


@dataclass(frozen=True)
class SetAsideListResult:
    events: list[SetAsideEventResult]
    total: int


@dataclass(frozen=True, slots=True)
class WebhookTerms:
    """What an endpoint's owner chooses. ``event_types`` are None for all."""

    url: str
    event_types: tuple[str, ...] | None
    description: str | None


@dataclass(frozen=True, slots=True)
class LeasedWebhook:
    """An endpoint to which only the sender ``leased_by`` sends. Its repr shows no secret.

    ``secrets`` sign what is sent, the newest first. ``sequence`` is its position in the line of events:
    each event up to it is delivered or set aside. ``failures`` are those since the last success.
    """

    tenant_id: str
    endpoint_id: str
    leased_by: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    event_types: tuple[str, ...] | None
    is_enabled: bool
    sequence: int
    failures: int
    failing_since: datetime | None
    has_requests: bool = False
    """Whether single events are to be sent that somebody has asked for."""
    retry_at: datetime | None = None
    """When to try again what has just failed. None: nothing has."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event behind an endpoint's position.

    ``refusals`` are the 4xx answers so far. ``is_delivered``: the endpoint has taken it, but not one before.
    """

    event: EventResult
    sequence: int
    refusals: int
    is_delivered: bool


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """An attempt to deliver an event, from which the answer's body is left out.

    ``sequence`` is None for a test. ``retry_after`` is in seconds, None where the endpoint gave none.
    """

    event_id: str
    event_type: str
    sequence: int | None
    at: datetime
    status: int | None
    error: WebhookError | None
    latency_ms: int
    retry_after: int | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the success statuses

    @property
    def is_refused(self) -> bool:
        """Whether the endpoint answered that it does not want this event: repeating it seldom helps."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 410, 429}  # noqa: PLR2004 - the statuses


@dataclass(frozen=True, slots=True)
class WebhookProgress:
    """What an endpoint's row says after attempts. ``set_aside`` are among the attempts."""

    sequence: int
    failures: int
    failing_since: datetime | None
    attempts: tuple[WebhookAttempt, ...]
    set_aside: tuple[WebhookAttempt, ...]
    retry_at: datetime | None
    disabled: WebhookDisabled | None

    def applied_to(self, endpoint: LeasedWebhook) -> LeasedWebhook:
        return replace(
            endpoint,
            sequence=self.sequence,
            failures=self.failures,
            failing_since=self.failing_since,
            retry_at=self.retry_at,
        )


@dataclass(frozen=True, slots=True)
class RequestedSend:
    """An event that somebody wants sent once more, None if it is no longer kept."""

    event_id: str
    event: EventResult | None


def event_for_test(endpoint: LeasedWebhook, event_id: str, at: datetime) -> EventResult:
    """The event that a test sends."""
    tenant_id = endpoint.tenant_id or None
    data = {"tenant_id": tenant_id, "endpoint_id": endpoint.endpoint_id}
    return EventResult(event_id, TEST_EVENT, at, tenant_id, None, None, data, None)


@dataclass(frozen=True, slots=True)
class DueWebhookMail:
    """A mail to an owner, claimed for sending. ``attempts`` includes this one."""

    mail_id: str
    tenant_id: str
    endpoint_id: str
    user_id: str
    attempts: int

    @property
    def about(self) -> str:
        return f"webhook of tenant {self.tenant_id}"


@dataclass(frozen=True, slots=True)
class WebhookMailContent:
    """Its repr shows neither the address nor the URL."""

    email: str = field(repr=False)
    tenant_name: str
    url: str = field(repr=False)
    reason: WebhookDisabled
    locale: str | None
