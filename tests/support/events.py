"""Events as a test reads them: strictly, and without what is drawn by chance."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import orjson
from pydantic import TypeAdapter

from hoc.cus.account.L5_schemas.events import EVENTS, EventData
from hoc.cus.account.L5_schemas.results import EventResult


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says, by whom it was done, and whose it is."""

    data: EventData
    actor: str | None
    tenant_id: str | None
    user_id: str | None

    @property
    def type(self) -> str:
        return self.data.event_type


def told(event: EventResult) -> Told:
    """The event, its payload read by its model: every field of it and no other, each of its own type."""
    data = TypeAdapter(EVENTS[event.type]).validate_json(
        orjson.dumps(event.data), strict=True, extra="forbid"
    )
    assert event.time in [getattr(data, field.name) for field in fields(data)]
    return Told(data, event.actor, event.tenant_id, event.user_id)


def types(events: Iterable[EventResult]) -> list[str]:
    """Their types in order of the alphabet: the events of one statement come in any order."""
    return sorted(event.type for event in events)
