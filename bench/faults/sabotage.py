"""Tests the judge: evidence is falsified in several ways, and the judge must find each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from uuid import uuid4

from evidence import Evidence
from judge import mark_of, verdict
from ledger import Kind, Outcome

from hoc.cus.account.L5_schemas.results import EventResult


def blind_spots(evidence: Evidence) -> list[str]:
    """Falsify clean evidence in each way. Returns the ways that the judge overlooks."""
    return [
        f"{falsify.__name__.strip('_').replace('_', ' ')}: no {expected} found"
        for falsify, expected in SABOTAGE.items()
        if not verdict(falsify(evidence))[expected]
    ]


def _lose_a_write(evidence: Evidence) -> Evidence:
    write = next(w for w in evidence.ledger.writes if w.kind is Kind.TICKET and w.outcome is Outcome.OK)
    return replace(evidence, traces=evidence.traces - {(write.key, write.number)})


def _undo_a_change(evidence: Evidence) -> Evidence:
    """For a user without writes of unknown outcome, because those may be missing."""
    unsure = {write.key for write in evidence.ledger.writes if write.outcome is Outcome.UNKNOWN}
    user_id, user = next(
        (key, user) for key, user in evidence.users.items() if user.version > 1 and key not in unsure
    )
    return replace(evidence, users=evidence.users | {user_id: replace(user, version=user.version - 1)})


def _lose_an_event(evidence: Evidence) -> Evidence:
    lost = _some(evidence, "user.profile_updated")
    return replace(
        evidence,
        log=tuple(event for event in evidence.log if event is not lost),
        stream=tuple(message for message in evidence.stream if message.event_id != lost.event_id),
    )


def _invent_an_event(evidence: Evidence) -> Evidence:
    template = _some(evidence, "ticket.created")
    phantom = replace(
        template,
        event_id=str(uuid4()),
        data=template.data | {"subject": "v999999"},
        sequence=_beyond(evidence),
    )
    return replace(evidence, log=(*evidence.log, phantom))


def _change_a_role(evidence: Evidence) -> Evidence:
    changed = _some(evidence, "member.role_changed")
    altered = replace(changed, data=changed.data | {"previous_role": "owner", "role": "owner"})
    return replace(evidence, log=tuple(altered if event is changed else event for event in evidence.log))


def _alter_a_message(evidence: Evidence) -> Evidence:
    first, *others = evidence.stream
    return replace(evidence, stream=(replace(first, data={}), *others))


def _double_an_event(evidence: Evidence) -> Evidence:
    again = replace(_some(evidence, "user.created"), event_id=str(uuid4()), sequence=_beyond(evidence))
    return replace(evidence, log=(*evidence.log, again))


def _swap_messages(evidence: Evidence) -> Evidence:
    """Swap the last two messages of one tenant."""
    tenant_id = _some(evidence, "ticket.created").tenant_id
    ids = [event.event_id for event in evidence.log if event.tenant_id == tenant_id][-2:]
    messages = {message.event_id: message for message in evidence.stream if message.event_id in ids}
    swapped = dict(zip(ids, (messages[event_id] for event_id in reversed(ids)), strict=True))
    stream = tuple(swapped.get(message.event_id, message) for message in evidence.stream)
    return replace(evidence, stream=stream)


def _swap_numbers(evidence: Evidence) -> Evidence:
    """Swap the numbers of the last two events of one tenant that carry a mark."""
    tenant_id = _some(evidence, "ticket.created").tenant_id
    earlier, later = [event for event in evidence.log if event.tenant_id == tenant_id and mark_of(event)][-2:]
    swapped = {
        earlier.event_id: replace(later, sequence=earlier.sequence),
        later.event_id: replace(earlier, sequence=later.sequence),
    }
    return replace(evidence, log=tuple(swapped.get(event.event_id, event) for event in evidence.log))


def _lose_a_message(evidence: Evidence) -> Evidence:
    lost = evidence.log[len(evidence.log) // 2].event_id
    return replace(evidence, stream=tuple(message for message in evidence.stream if message.event_id != lost))


def _invent_a_message(evidence: Evidence) -> Evidence:
    return replace(evidence, stream=(*evidence.stream, replace(evidence.stream[-1], event_id=str(uuid4()))))


def _skip_a_number(evidence: Evidence) -> Evidence:
    *others, last = evidence.log
    return replace(evidence, log=(*others, replace(last, sequence=_beyond(evidence))))


def _some(evidence: Evidence, event_type: str) -> EventResult:
    return next(event for event in evidence.log if event.type == event_type)


def _beyond(evidence: Evidence) -> int:
    return len(evidence.log) + 2


SABOTAGE: Final[dict[Callable[[Evidence], Evidence], str]] = {
    _lose_a_write: "lost acknowledged writes",
    _undo_a_change: "lost acknowledged writes",
    _lose_an_event: "lost events",
    _invent_an_event: "phantom events",
    _change_a_role: "phantom events",
    _alter_a_message: "phantom events",
    _double_an_event: "duplicates after dedup by id",
    _swap_messages: "inversions per user or tenant",
    _swap_numbers: "inversions per user or tenant",
    _lose_a_message: "events in the log, not in the stream",
    _invent_a_message: "events in the stream, not in the log",
    _skip_a_number: "gaps in the sequence",
}
