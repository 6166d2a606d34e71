"""A publisher that keeps messages instead of sending them to NATS, or refuses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hoc.events.message import Message


def _never(_: Message) -> Exception | None:
    return None


@dataclass(slots=True)
class RecordingPublisher:
    """A publisher for the relay. ``messages`` has the published messages, in their order.

    An error that ``refusing`` returns for a message is raised: a MessageRefusedError for a message that can
    never be published, a PublisherUnavailableError for one that may be published later.
    """

    refusing: Callable[[Message], Exception | None] = _never
    messages: list[Message] = field(default_factory=list[Message])
    is_connected: bool = True

    async def publish(self, message: Message) -> None:
        problem = self.refusing(message)
        if problem is not None:
            raise problem
        self.messages.append(message)

    async def publish_together(self, messages: Sequence[Message]) -> bool:
        """Record all messages, or none if one is refused."""
        if any(map(self.refusing, messages)):
            return False
        self.messages += messages
        return True
