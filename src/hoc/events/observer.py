"""Who is told what becomes of events; for metrics."""

from typing import Protocol


class EventObserver(Protocol):
    def published(self, seconds: float) -> None:
        """An event was published, so long after it happened."""
        ...

    def parked(self) -> None:
        """An event was set aside, because it cannot be published."""
        ...

    def received(self, outcome: str) -> None:
        """A message of others was ``handled``, ``repeated``, ``failed`` or ``parked``."""
        ...
