"""The ledger of the writes that were sent, and of the answers."""

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
    """Certainly without effect: never sent, or rejected."""
    UNKNOWN = "unknown"
    """With its whole effect or none."""


@dataclass(frozen=True, slots=True)
class Write:
    """A change of the user or tenant ``key``. A later one has a higher ``number``."""

    key: str
    number: int
    kind: Kind
    outcome: Outcome


@dataclass(slots=True)
class Ledger:
    """``answers`` counts requests by status or error. A write may take several."""

    writes: list[Write] = field(default_factory=list[Write])
    answers: Counter[str] = field(default_factory=Counter[str])

    def counts(self) -> Counter[Outcome]:
        return Counter(write.outcome for write in self.writes)


def marked(number: int) -> str:
    """Return a value that identifies the write that stores it."""
    return f"v{number}"


def number_in(value: str) -> int:
    """Return the number of the write that stored this value."""
    return int(value.partition("@")[0].removeprefix("v"))
