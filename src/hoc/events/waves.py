"""Divides events into waves. Events of one wave are published at once, so no two share a user or tenant."""

from collections.abc import Iterator, Sequence

from hoc.cus.account.L5_schemas.results import EventResult


def keys_of(event: EventResult) -> set[tuple[str, str]]:
    """The event's user and tenant. Events with a common key are published in order."""
    keys = (("user", event.user_id), ("tenant", event.tenant_id))
    return {(kind, key) for kind, key in keys if key is not None}


def waves(events: Sequence[EventResult]) -> Iterator[list[EventResult]]:
    """Yield the fewest possible waves. Each event is in a later wave than earlier ones with a common key."""
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
