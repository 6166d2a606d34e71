"""Where events go: the port that the relay publishes through."""

from typing import Protocol

from hoc.events.message import Message


class MessageRefusedError(Exception):
    """The message will never be taken, for what it is; others may be."""


class PublisherUnavailableError(Exception):
    """Nobody knows whether the message was stored; it may be tried again."""


class Publisher(Protocol):
    @property
    def is_connected(self) -> bool: ...

    async def publish(self, message: Message) -> None:
        """Return once the message is stored. Raises MessageRefusedError or PublisherUnavailableError."""
        ...
