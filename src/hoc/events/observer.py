"""The port through which metrics observe events."""

from typing import Protocol


class EventObserver(Protocol):
    def published(self, seconds: float) -> None:
        """An event was published, ``seconds`` after it happened."""
        ...

    def dead_lettered(self) -> None:
        """An event cannot be published, and has become a dead letter."""
        ...

    def received(self, outcome: str) -> None:
        """An inbound message was ``handled``, ``repeated``, ``failed`` or ``parked`` (a dead letter)."""
        ...
