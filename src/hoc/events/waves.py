"""Divides events into waves, which can be published at once: a wave has no two of a user or tenant."""

from collections.abc import Iterator, Sequence

from hoc.cus.account.L5_schemas.results import EventResult


def keys_of(event: EventResult) -> set[tuple[str, str]]:
    """The user and the tenant in whose order the event is."""
    keys = (("user", event.user_id), ("tenant", event.tenant_id))
    return {(kind, key) for kind, key in keys if key is not None}


def waves(events: Sequence[EventResult]) -> Iterator[list[EventResult]]:
    """As few groups as possible. Each event is in a later group than earlier events with its keys."""
    depth: dict[tuple[str, str], int] = {}
    grouped: list[list[EventResult]] = []
    for event in events:
        keys = keys_of(event)
        level = max((depth.get(key, 0) for key in keys), default=0)
        depth |= dict.fromkeys(keys, level + 1)
        if level == len(grouped):
            grouped.append([])
        grouped[level].append(event)
    yield from grouped
