"""Events as tests compare them: parsed strictly, and without random ids."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import orjson
from pydantic import TypeAdapter

from hoc.cus.account.L5_schemas.events import EVENTS, EventData
from hoc.cus.account.L5_schemas.results import EventResult


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """An event's data and actor, and the tenant and user whose event it is."""

    data: EventData
    actor: str | None
    tenant_id: str | None
    user_id: str | None

    @property
    def type(self) -> str:
        return self.data.event_type


def parsed(event: EventResult) -> ParsedEvent:
    """Parse the payload strictly: it must have exactly the fields of its model."""
    data = TypeAdapter(EVENTS[event.type]).validate_json(
        orjson.dumps(event.data), strict=True, extra="forbid"
    )
    assert event.time in [getattr(data, field.name) for field in fields(data)]
    return ParsedEvent(data, event.actor, event.tenant_id, event.user_id)


def types(events: Iterable[EventResult]) -> list[str]:
    """The types of events, sorted, because events of one statement have no order."""
    return sorted(event.type for event in events)
