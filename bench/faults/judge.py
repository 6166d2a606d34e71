"""The judge: compares the ledger, the database, the log and the stream.

An acknowledged write must be in the database, and its event in the log and the stream. A failed write must be
in none of them, and a write of unknown outcome in all or in none.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from evidence import Evidence
from ledger import Kind, Outcome, Write, number_in

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.waves import keys_of

Mark: TypeAlias = tuple[str, int]

_STORED_BY_MARK: Final = {Kind.ENSURE, Kind.RENAME, Kind.PREFERENCES, Kind.TICKET, Kind.INVITE}
_EVENT_CARRIES_MARK: Final = {Kind.ENSURE, Kind.RENAME, Kind.STATUS, Kind.DELETE, Kind.TICKET, Kind.INVITE}
_STEPS: Final = {Kind.RENAME, Kind.PREFERENCES, Kind.STATUS, Kind.DELETE, Kind.ROLE}
_USER_STEPS: Final = {"user.profile_updated", "user.status_changed", "user.deleted"}


def verdict(evidence: Evidence) -> dict[str, list[str]]:
    """Return the errors of each kind. All lists should be empty."""
    case = _Case(evidence)
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "lost acknowledged writes": case.lost_writes,
        "lost events": case.lost_events,
        "phantom events": case.phantoms,
        "duplicates after dedup by id": case.duplicates,
        "inversions per user or tenant": case.inversions,
        "events in the log, not in the stream": case.not_in_stream,
        "events in the stream, not in the log": case.not_in_log,
        "gaps in the sequence": case.gaps,
        "events in the outbox, or parked": case.left,
        "refusals of what was right, or 500s": case.wrong_answers,
    }
    return {name: list(check()) for name, check in checks.items()}


def mark_of(event: EventResult) -> Mark | None:
    """Return the write that caused the event, or None if the event does not carry its number."""
    data = event.data
    match event.type:
        case "user.created":
            return data["user_id"], number_in(data["name"])
        case "user.profile_updated" if "name" in data["updated_fields"]:
            return data["user_id"], number_in(data["name"])
        case "user.status_changed" | "user.deleted":
            return data["user_id"], number_in(data["reason"])
        case "ticket.created":
            return data["tenant_id"], number_in(data["subject"])
        case "invitation.created":
            return data["tenant_id"], number_in(data["email"])
        case _:
            return None


class _Case:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._writes = {(write.key, write.number): write for write in evidence.ledger.writes}
        self._by_id = {event.event_id: event for event in evidence.log}
        self._marked_events = Counter(mark for event in evidence.log if (mark := mark_of(event)))
        # A step: every change moves the version of its row by one.
        self._steps = {user_id: user.version - 1 for user_id, user in evidence.users.items()} | {
            tenant_id: version - 1 for tenant_id, (_, version) in evidence.roles.items()
        }
        self._event_steps = Counter(key for event in evidence.log if (key := _stepped(event)))

    def lost_writes(self) -> Iterator[str]:
        for write in self._writes.values():
            if write.outcome is Outcome.OK and not self._is_stored(write):
                yield str(write)
        acknowledged = self._expected_steps({Outcome.OK})
        yield from self._uneven(lambda key, steps: steps < acknowledged[key], "acknowledged", acknowledged)

    def lost_events(self) -> Iterator[str]:
        for mark, write in self._writes.items():
            if write.kind in _EVENT_CARRIES_MARK and not self._marked_events[mark] and self._happened(write):
                yield f"of {write}"
        recorded = self._event_steps
        yield from self._uneven(lambda key, steps: steps > recorded[key], "in events", recorded)

    def phantoms(self) -> Iterator[str]:
        for event in self._evidence.log:
            if mark := mark_of(event):
                write = self._writes.get(mark)
                if write is None or write.outcome is Outcome.FAILED or not self._is_stored(write):
                    yield f"{event}, of {write}"
        recorded = self._event_steps
        yield from self._uneven(lambda key, steps: steps < recorded[key], "in events", recorded)
        yield from self._contradicted()
        for message in self._evidence.stream:
            logged = self._by_id.get(message.event_id)
            if logged is not None and (logged.sequence, logged.type, logged.data) != message.content:
                yield f"{message}, but the log has {logged}"

    def duplicates(self) -> Iterator[str]:
        for mark, times in self._marked_events.items():
            if times > 1:
                yield f"{times} events of {self._writes.get(mark, mark)}"
        for event_id, times in Counter(event.event_id for event in self._evidence.log).items():
            if times > 1:
                yield f"{event_id} is {times} times in the log"
        sent = self._expected_steps({Outcome.OK, Outcome.UNKNOWN})
        yield from self._uneven(lambda key, steps: steps > sent[key], "sent", sent)

    def inversions(self) -> Iterator[str]:
        """Compare first deliveries with the log's order, and the log with the order of the writes."""
        last: dict[tuple[str, str], EventResult] = {}
        firsts = dict.fromkeys(message.event_id for message in self._evidence.stream)
        for event in (self._by_id[event_id] for event_id in firsts if event_id in self._by_id):
            for owner in keys_of(event):
                if owner in last and _sequence(last[owner]) > _sequence(event):
                    yield f"{event} streamed after {last[owner]}"
                last[owner] = event
        highest: dict[str, int] = {}
        for key, number in filter(None, map(mark_of, self._evidence.log)):
            write = self._writes.get((key, number))
            reached = highest.get(key, 0)
            # A write without an answer may have been executed after the next one was sent.
            if number < reached and write and write.outcome is Outcome.OK:
                yield f"{write} is behind number {reached} in the log"
            highest[key] = max(number, reached)

    def not_in_stream(self) -> Iterator[str]:
        streamed = {message.event_id for message in self._evidence.stream}
        return (str(event) for event in self._evidence.log if event.event_id not in streamed)

    def not_in_log(self) -> Iterator[str]:
        return (str(message) for message in self._evidence.stream if message.event_id not in self._by_id)

    def gaps(self) -> Iterator[str]:
        for expected, event in enumerate(self._evidence.log, start=1):
            if event.sequence != expected:
                yield f"{event.sequence} in place of {expected}"
                return

    def left(self) -> Iterator[str]:
        if self._evidence.left:
            yield str(self._evidence.left)

    def wrong_answers(self) -> Iterator[str]:
        """The load sends only valid requests, so that each answer must be a success or 503."""
        for answer, times in self._evidence.ledger.answers.items():
            if answer.isdigit() and not answer.startswith("2") and answer != "503":
                yield f"{answer}: {times} times"

    def _happened(self, write: Write) -> bool:
        if write.outcome is Outcome.OK:
            return True
        return write.kind in {*_STORED_BY_MARK, Kind.DELETE} and self._is_stored(write)

    def _is_stored(self, write: Write) -> bool:
        """Whether the database has the write. A write that leaves no mark there is counted by its steps."""
        if write.kind is Kind.DELETE:
            user = self._evidence.users.get(write.key)
            return user is not None and user.is_deleted
        return write.kind not in _STORED_BY_MARK or (write.key, write.number) in self._evidence.traces

    def _expected_steps(self, outcomes: set[Outcome]) -> Counter[str]:
        writes = self._writes.values()
        return Counter(write.key for write in writes if write.kind in _STEPS and write.outcome in outcomes)

    def _uneven(
        self, is_wrong: Callable[[str, int], bool], word: str, counted: Counter[str]
    ) -> Iterator[str]:
        for key, steps in self._steps.items():
            if is_wrong(key, steps):
                yield f"{key}: {steps} changes, {counted[key]} {word}"

    def _contradicted(self) -> Iterator[str]:
        """The last events must match the stored rows, and each role must follow from the one before."""
        names: dict[str, str] = {}
        active: dict[str, bool] = {}
        roles: dict[str, str] = {}
        for event in self._evidence.log:
            data = event.data
            match event.type:
                case "user.created" | "user.profile_updated":
                    names[data["user_id"]] = data["name"]
                case "user.status_changed" | "user.deleted":
                    active[data["user_id"]] = data.get("is_active", False)
                case "member.role_changed":
                    if roles.get(data["tenant_id"], data["previous_role"]) != data["previous_role"]:
                        yield f"{event} follows {roles[data['tenant_id']]}"
                    roles[data["tenant_id"]] = data["role"]
                case _:
                    pass
        for user_id, user in self._evidence.users.items():
            if (user.name, user.is_active) != (names.get(user_id), active.get(user_id, True)):
                yield f"{user_id} is {user}; the events say {names.get(user_id)}, {active.get(user_id)}"
        for tenant_id, (role, _) in self._evidence.roles.items():
            if roles.get(tenant_id, role) != role:
                yield f"the member of {tenant_id} is {role}; the events say {roles[tenant_id]}"


def _stepped(event: EventResult) -> str | None:
    if event.type in _USER_STEPS:
        return event.user_id
    return event.tenant_id if event.type == "member.role_changed" else None


def _sequence(event: EventResult) -> int:
    return event.sequence or 0
