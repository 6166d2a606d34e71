"""NATS: a connection that reconnects by itself, and publishing to JetStream."""

# nats-py does not declare the types of its options.
# pyright: reportUnknownMemberType=false

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.errors import Error, MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from hoc.concurrency.background import in_background
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.events.message import Message
from hoc.events.publisher import MessageRefusedError, PublisherUnavailableError
from hoc.events.tolerant_client import TolerantClient

CONNECT_SECONDS = 2
PING_SECONDS = 5
PUBLISH_SECONDS = 2.0
RECONNECT_SECONDS = 1
FORGET_DUPLICATES_AFTER_SECONDS = 120.0

SUBJECTS = sorted({f"{event_type.partition('.')[0]}.*" for event_type in EVENTS})

# JSStreamMessageExceedsMaximumErr and JSStreamHeaderExceedsMaximumErr in nats-server's errors.json.
_TOO_LARGE = {10054, 10097}

_log = logging.getLogger("hoc.events")


class NatsConnection:
    """Connects in the background and again whenever the connection is lost; callers do not wait for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = TolerantClient()
        self._jetstream: JetStreamContext | None = None
        self._has_warned = False

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def max_payload(self) -> int:
        """The most bytes of headers and data that the server accepted when it was last connected."""
        return self._client.max_payload

    @property
    def client(self) -> Client:
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """Raises PublisherUnavailableError while there is no connection."""
        if self._jetstream is None or not self.is_connected:
            raise PublisherUnavailableError("There is no connection to NATS.")
        return self._jetstream

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        # A closed client does not connect again, and a client belongs to its event loop.
        self._client, self._jetstream, self._has_warned = TolerantClient(), None, False
        try:
            async with in_background(self._connect(), name="hoc-nats"):
                yield
        finally:
            if self._jetstream is not None:
                await self._close()

    async def _connect(self) -> None:
        """Connect, however long that takes. From then on, the client reconnects by itself."""
        try:
            await self._client.connect(
                self._url,
                name="hoc",
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,
                pending_size=0,  # without a connection publishing fails at once, and the relay retries
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
            )
        except asyncio.CancelledError:
            await self._close()  # a client that is closed while it connects would keep what it then opens
            raise
        self._jetstream = self._client.jetstream(timeout=PUBLISH_SECONDS)
        self._has_warned = False

    async def _close(self) -> None:
        self._has_warned = True  # an intended end is not logged
        await self._client.close()

    async def _on_error(self, problem: Exception) -> None:
        self._warn_once(f"NATS is unreachable ({type(problem).__name__}); events stay in the database")

    async def _on_disconnected(self) -> None:
        self._warn_once("the connection to NATS is lost; events stay in the database")

    async def _on_reconnected(self) -> None:
        _log.info("NATS is connected again")
        self._has_warned = False

    def _warn_once(self, outage: str) -> None:
        """Log the first of several failed attempts."""
        if not self._has_warned:
            _log.warning(outage)
        self._has_warned = True


class JetStreamPublisher:
    """Publishes to one stream, and creates that stream if it is missing."""

    def __init__(self, connection: NatsConnection, *, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._has_stream = False

    @property
    def is_connected(self) -> bool:
        return self._connection.is_connected

    async def publish(self, message: Message) -> None:
        """Return once JetStream has stored the message, now or earlier under the same id."""
        jetstream = self._connection.jetstream
        if _size(message) > self._connection.max_payload:
            raise MessageRefusedError(
                f"{_size(message)} bytes, but the server accepts {self._connection.max_payload}"
            )
        try:
            await self._require_stream(jetstream)
            await jetstream.publish(
                message.subject,
                message.data,
                headers=dict(message.headers),
                stream=self._stream,
                timeout=PUBLISH_SECONDS,
            )
        except APIError as problem:
            if problem.err_code in _TOO_LARGE:
                raise MessageRefusedError(str(problem.description)) from problem
            raise PublisherUnavailableError(str(problem)) from problem
        except MaxPayloadError as problem:
            raise MessageRefusedError("larger than the server accepts") from problem
        except (Error, OSError, TimeoutError) as problem:
            if isinstance(problem, NoStreamResponseError):
                self._has_stream = False
            raise PublisherUnavailableError(str(problem)) from problem

    async def _require_stream(self, jetstream: JetStreamContext) -> None:
        if not self._has_stream:
            await require_stream(jetstream, self._stream, SUBJECTS)
            self._has_stream = True


async def require_stream(jetstream: JetStreamContext, name: str, subjects: list[str]) -> None:
    """Create a stream with these subjects, or add them to it without changing its other settings."""
    try:
        config = (await jetstream.stream_info(name)).config
    except NotFoundError:
        config = StreamConfig(
            name=name,
            subjects=subjects,
            storage=StorageType.FILE,
            duplicate_window=FORGET_DUPLICATES_AFTER_SECONDS,
        )
        await jetstream.add_stream(config)
        return
    present = config.subjects or []
    if missing := [subject for subject in subjects if subject not in present]:
        config.subjects = [*present, *missing]
        await jetstream.update_stream(config)


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) + 4 for name, value in message.headers.items())
    return len(message.data) + headers + len("NATS/1.0\r\n\r\n") + 64  # 64 for the client's own headers
