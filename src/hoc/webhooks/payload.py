"""What is sent: an event in the structured JSON mode of CloudEvents 1.0, signed by Standard Webhooks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import orjson
from standardwebhooks import Webhook

from hoc.cus.account.L5_schemas.results import EventResult

CONTENT_TYPE: Final = "application/cloudevents+json"


def payload_of(event: EventResult, source: str) -> bytes:
    """The event as JSON. The same event is the same bytes each time."""
    attributes = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": source,
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "subject": event.tenant_id or event.user_id,
        "actor": event.actor,
        # A CloudEvents extension: a number whose values sort as text.
        "sequence": None if event.sequence is None else f"{event.sequence:019d}",
    }
    given = {name: value for name, value in attributes.items() if value is not None}
    return orjson.dumps(given | {"data": event.data})


def headers_of(event: EventResult, payload: bytes, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers, with a signature by each secret. ``now`` is in UTC, which the library takes it for."""
    signatures = [Webhook(secret).sign(event.event_id, now, payload.decode()) for secret in secrets]
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": "hoc-webhooks",
        "webhook-id": event.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
