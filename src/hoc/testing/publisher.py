"""What stands in for NATS: keeps what is published, or refuses it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hoc.events.message import Message


def _never(_: Message) -> Exception | None:
    return None


@dataclass(slots=True)
class RecordingPublisher:
    """A publisher for the relay: ``messages`` is what was published, in its order.

    What ``refusing`` returns for a message is raised instead: a MessageRefusedError if it is never to be
    stored, a PublisherUnavailableError if it may be later.
    """

    refusing: Callable[[Message], Exception | None] = _never
    messages: list[Message] = field(default_factory=list[Message])
    is_connected: bool = True

    async def publish(self, message: Message) -> None:
        problem = self.refusing(message)
        if problem is not None:
            raise problem
        self.messages.append(message)
