"""Atomic batches of JetStream (nats-server 2.12.1 and later): all messages are stored in order, or none is.

A message that is refused, lost with its connection, or cut off by a new leader ends its whole batch. So
does an id that the stream has seen in its window for duplicates: a batch that arrives late, after its
messages were sent again, stores nothing. What other publishers store meanwhile does not matter.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from nats.aio.client import Client

from hoc.events.message import Message
from hoc.events.publisher import PublisherUnavailableError

# JSAtomicPublishDisabledErr and JSAtomicPublishUnsupportedHeaderBatchErr (for Nats-Msg-Id, before 2.12.1) in
# nats-server's errors.json.
_UNSUPPORTED = {10174, 10177}


class BatchRefusedError(Exception):
    """The server has stored none of the messages. ``is_unsupported``: it accepts no such batch at all."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("description", ""))
        self.is_unsupported = error.get("err_code") in _UNSUPPORTED


async def publish_batch(client: Client, stream: str, messages: Sequence[Message], *, seconds: float) -> None:
    """Return once the stream has stored all messages. Raises BatchRefusedError, and nats-py's errors."""
    batch_id = uuid.uuid4().hex
    headers: dict[str, str] = {}
    for number, message in enumerate(messages, start=1):
        headers = {
            **message.headers,
            "Nats-Expected-Stream": stream,
            "Nats-Batch-Id": batch_id,
            "Nats-Batch-Sequence": str(number),
        }
        if number < len(messages):
            await client.publish(message.subject, message.data, headers=headers)
    last = messages[-1]
    headers["Nats-Batch-Commit"] = "1"
    answer = orjson.loads((await client.request(last.subject, last.data, seconds, headers=headers)).data)
    if error := answer.get("error"):
        raise BatchRefusedError(error)
    if answer.get("count") != len(messages):
        raise PublisherUnavailableError("The server does not confirm the whole batch.")
