"""Messages on NATS, outbound and inbound."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson

from hoc.cus.account.L5_schemas.results import EventResult

# Printable ASCII without the space, the quotation mark and the percent sign.
_PLAIN = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@lru_cache(maxsize=10_000)
def _quoted(value: str | None) -> str | None:
    """The value as CloudEvents wants it in a header. The events of a backlog repeat a few values."""
    return None if value is None else quote(value, safe=_PLAIN)


@dataclass(frozen=True, slots=True)
class Message:
    """An event as a message: the data is its payload alone, and the headers describe it."""

    event_id: str
    subject: str
    data: bytes
    headers: dict[str, str]


def message_of(event: EventResult, source: str) -> Message:
    """The event as a message in the binary mode of CloudEvents 1.0: an attribute is a ``ce-`` header.

    ``Nats-Msg-Id`` is the event's id. JetStream drops a message whose id it has seen in the last two minutes.
    """
    # The CloudEvents extension "sequence" is a number whose values sort as text.
    attributes = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": _quoted(source),
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "subject": _quoted(event.tenant_id or event.user_id),
        "actor": _quoted(event.actor),
        "sequence": None if event.sequence is None else f"{event.sequence:019d}",
    }
    headers = {f"ce-{name}": value for name, value in attributes.items() if value is not None}
    return Message(
        event_id=event.event_id,
        subject=event.type,
        data=orjson.dumps(event.data),
        headers={"Nats-Msg-Id": event.event_id, **headers},
    )


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """Another service's event. ``time`` is when it happened or, if unknown, when JetStream stored it."""

    message_id: str
    subject: str
    time: datetime
    data: Any


Handler: TypeAlias = Callable[[Any, InboundMessage], Awaitable[None]]
"""Handles a message in an open transaction (an AsyncConnection), which is committed when it returns."""
