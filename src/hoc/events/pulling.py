"""Pulls messages from JetStream, whatever publishers have put into them.

nats-py's own pull takes a header of the publisher for a status of the server. It drops such a message, or
fails and loses the batch. Here, JetStream wants an acknowledgement for a message, and none for a status.
"""

# nats-py does not declare the types of its options.
# pyright: reportUnknownMemberType=false

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

ANSWER_SECONDS: Final = 2.0
_NANOSECONDS: Final = 1_000_000_000
_ACKNOWLEDGED: Final = "$JS.ACK."
_NONE_LEFT: Final = {"404", "408"}


class ConsumerLostError(Error):
    """JetStream has this consumer no more, or gave it to another of its servers."""


class Pull:
    """Messages of one durable consumer."""

    def __init__(self, client: Client, subscription: Subscription, consumer: str) -> None:
        self._client = client
        self._subscription = subscription
        self._request_subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer}"

    async def fetch(self, limit: int, seconds: float) -> list[Msg]:
        """The messages that wait, or the first that arrives in time. Raises an Error of NATS."""
        waiting = await self._request({"batch": limit, "no_wait": True}, limit, ANSWER_SECONDS)
        if waiting:
            return waiting
        expires = {"batch": 1, "expires": int(seconds * _NANOSECONDS)}
        return await self._request(expires, 1, seconds + ANSWER_SECONDS)

    async def _request(self, request: dict[str, int], limit: int, seconds: float) -> list[Msg]:
        await self._client.publish(
            self._request_subject, orjson.dumps(request), reply=self._subscription.subject
        )
        received: list[Msg] = []
        with suppress(NatsTimeoutError):
            while len(received) < limit:
                message = await self._subscription.next_msg(timeout=seconds)
                if message.reply.startswith(_ACKNOWLEDGED):
                    received.append(message)
                elif (status := (message.headers or {}).get("Status")) in _NONE_LEFT:
                    break
                elif status is not None:
                    raise ConsumerLostError(status)
        return received


@asynccontextmanager
async def pulling(
    client: Client, jetstream: JetStreamContext, subject: str, *, durable: str
) -> AsyncGenerator[Pull]:
    """Pull from the durable consumer, made if missing. Raises NotFoundError without a stream."""
    stream = await jetstream.find_stream_name_by_subject(subject)
    try:
        await jetstream.consumer_info(stream, durable)
    except NotFoundError:
        config = ConsumerConfig(durable_name=durable, filter_subject=subject, ack_policy=AckPolicy.EXPLICIT)
        await jetstream.add_consumer(stream, config)
    subscription = await client.subscribe(client.new_inbox())
    try:
        yield Pull(client, subscription, f"{stream}.{durable}")
    finally:
        with suppress(Error):  # a lost connection has no subscriptions either
            await subscription.unsubscribe()
