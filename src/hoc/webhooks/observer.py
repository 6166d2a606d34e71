"""The port through which metrics observe deliveries."""

from typing import Protocol

from hoc.cus.account.L5_schemas.webhooks import WebhookAttempt


class DeliveryObserver(Protocol):
    def attempted(self, attempt: WebhookAttempt, lag_seconds: float) -> None:
        """An event was sent, ``lag_seconds`` after it happened."""
        ...
