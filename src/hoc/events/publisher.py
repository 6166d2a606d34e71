"""The port through which the relay publishes."""

from collections.abc import Sequence
from typing import Protocol

from hoc.events.message import Message


class MessageRefusedError(Exception):
    """The server refuses this message for good, and may accept others."""


class PublisherUnavailableError(Exception):
    """It is unknown whether the message was stored. It can be published again."""


class Publisher(Protocol):
    @property
    def is_connected(self) -> bool: ...

    async def publish(self, message: Message) -> None:
        """Return once the message is stored. Raises MessageRefusedError or PublisherUnavailableError."""
        ...

    async def publish_together(self, messages: Sequence[Message]) -> bool:
        """Store all messages in this order, or none of them.

        Returns False if none is stored so; the server may still accept each of them alone. Raises
        PublisherUnavailableError.
        """
        ...
