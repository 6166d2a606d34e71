"""What was asked of the servers, and what they said to it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    ENSURE = "ensure"
    RENAME = "rename"
    PREFERENCES = "preferences"
    STATUS = "status"
    DELETE = "delete"
    TICKET = "ticket"
    INVITE = "invite"
    ROLE = "role"


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """Certainly without effect: never sent, or refused."""
    UNKNOWN = "unknown"
    """With its effect, or without any."""


@dataclass(frozen=True, slots=True)
class Write:
    """A change of a user or a tenant, the ``key``; a later one has a higher ``number`` and was sent later."""

    key: str
    number: int
    kind: Kind
    outcome: Outcome


@dataclass(slots=True)
class Ledger:
    """``answers`` counts requests, several for some writes, by status or by what went wrong."""

    writes: list[Write] = field(default_factory=list[Write])
    answers: Counter[str] = field(default_factory=Counter[str])

    def counts(self) -> Counter[Outcome]:
        return Counter(write.outcome for write in self.writes)


def marked(number: int) -> str:
    """A value that tells by which write it came to be."""
    return f"v{number}"


def number_in(value: str) -> int:
    """The number of the write that left this value."""
    return int(value.partition("@")[0].removeprefix("v"))
