"""NATS: a connection that reconnects by itself, and publishing to JetStream."""

# nats-py does not declare the types of its options.
# pyright: reportUnknownMemberType=false

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

from nats.aio.client import Client
from nats.errors import AuthorizationError, Error, MaxPayloadError, NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from hoc.concurrency.background import in_background, is_cancelled
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.events.batches import BatchRefusedError, publish_batch
from hoc.events.message import Message
from hoc.events.nats_access import NatsAccess
from hoc.events.publisher import MessageRefusedError, PublisherUnavailableError
from hoc.events.tolerant_client import TolerantClient

CONNECT_SECONDS = 2
PING_SECONDS = 5
PUBLISH_SECONDS = 2.0
BATCH_SECONDS = 4.0
RECONNECT_SECONDS = 1
FORGET_DUPLICATES_AFTER_SECONDS = 120.0

SUBJECTS = sorted({f"{event_type.partition('.')[0]}.*" for event_type in EVENTS})

# JSStreamMessageExceedsMaximumErr and JSStreamHeaderExceedsMaximumErr in nats-server's errors.json.
_TOO_LARGE = {10054, 10097}

_BATCH_HEADERS = 128  # room for those that say a message's place in its batch

_log = logging.getLogger("hoc.events")


LOGIN_SETTINGS = "HOC_NATS_URL and HOC_NATS_CREDENTIALS_FILE"


def is_refusal(problem: Exception) -> bool:
    """Whether NATS answered, and does not accept the user, the password, the token or the key."""
    return isinstance(problem, AuthorizationError) or "authorization violation" in str(problem).lower()


async def check_login(access: NatsAccess) -> None:
    """Raise ValueError if NATS refuses the login, or a server's certificate is wrong. An outage is none."""

    async def ignore(_problem: Exception) -> None:
        """`connect` raises it."""

    client = TolerantClient(access.key)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect(
                **access.options(),
                tls=access.tls(),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                connect_timeout=CONNECT_SECONDS,
                error_cb=ignore,
            )
    except ssl.SSLError as problem:
        raise ValueError(f"TLS with NATS fails ({problem.reason}): check HOC_NATS_CA_FILE") from problem
    except (Error, OSError, TimeoutError) as problem:
        if is_refusal(problem):
            raise ValueError(f"NATS refuses hoc's login: check {LOGIN_SETTINGS}") from problem
    finally:
        await client.close()


class NatsConnection:
    """Connects in the background and again whenever the connection is lost; callers do not wait for it."""

    def __init__(self, access: NatsAccess | str) -> None:
        self._access = NatsAccess(access) if isinstance(access, str) else access
        self._client = TolerantClient(self._access.key)
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
        self._client, self._jetstream, self._has_warned = TolerantClient(self._access.key), None, False
        try:
            async with in_background(self._stay_connected, name="hoc-nats"):
                yield
        finally:
            if self._jetstream is not None:
                await self._close()

    async def _stay_connected(self) -> None:
        """Connect, however long that takes. The client reconnects by itself until NATS ends its login."""
        while True:
            closed = asyncio.Event()
            await self._connect(closed)
            if is_cancelled():  # which asyncio.wait_for swallows before Python 3.12: see `in_background`
                raise asyncio.CancelledError
            await closed.wait()
            self._warn_once(f"NATS ended hoc's login; events stay in the database. Check {LOGIN_SETTINGS}")
            self._client = TolerantClient(self._access.key)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self, closed: asyncio.Event) -> None:
        async def on_closed() -> None:
            closed.set()

        try:
            await self._client.connect(
                **self._access.options(),
                tls=self._access.tls(),
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
                closed_cb=on_closed,
            )
        except BaseException:
            await self._close()  # a client that is closed while it connects would keep what it then opens
            self._client = TolerantClient(self._access.key)
            raise
        self._jetstream = self._client.jetstream(timeout=PUBLISH_SECONDS)
        self._has_warned = False

    async def _close(self) -> None:
        self._has_warned = True  # an intended end is not logged
        await self._client.close()

    async def _on_error(self, problem: Exception) -> None:
        if is_refusal(problem):
            self._warn_once(f"NATS refuses hoc's login; events stay in the database. Check {LOGIN_SETTINGS}")
        else:
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

    def __init__(self, connection: NatsConnection, *, stream: str, replicas: int | None = None) -> None:
        self._connection = connection
        self._stream = stream
        self._replicas = replicas
        self._has_stream = False
        self._takes_batches = False

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
        with self._explained():
            await self._require_stream(jetstream)
            await jetstream.publish(
                message.subject,
                message.data,
                headers=dict(message.headers),
                stream=self._stream,
                timeout=PUBLISH_SECONDS,
            )

    async def publish_together(self, messages: Sequence[Message]) -> bool:
        """Store all messages as one atomic batch. Returns False if the stream refuses that, and has none."""
        jetstream = self._connection.jetstream
        with self._explained():
            await self._require_stream(jetstream)
            room = self._connection.max_payload - _BATCH_HEADERS
            if not self._takes_batches or any(_size(message) > room for message in messages):
                return False
            try:
                await publish_batch(self._connection.client, self._stream, messages, seconds=BATCH_SECONDS)
            except BatchRefusedError as refusal:
                self._takes_batches = not refusal.is_unsupported
                return False
            return True

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Raise MessageRefusedError or PublisherUnavailableError for the client's and the server's errors."""
        try:
            yield
        except APIError as problem:
            if problem.err_code in _TOO_LARGE:
                raise MessageRefusedError(str(problem.description)) from problem
            raise PublisherUnavailableError(str(problem)) from problem
        except MaxPayloadError as problem:
            raise MessageRefusedError("larger than the server accepts") from problem
        except (Error, OSError, TimeoutError) as problem:
            if isinstance(problem, NoStreamResponseError | NoRespondersError):
                self._has_stream = False
            raise PublisherUnavailableError(str(problem)) from problem

    async def _require_stream(self, jetstream: JetStreamContext) -> None:
        if not self._has_stream:
            config = await require_stream(
                jetstream, self._stream, SUBJECTS, replicas=self._replicas, allow_atomic=True
            )
            self._takes_batches = bool(config.allow_atomic) or await _allows_batches(jetstream, config)
            self._has_stream = True


async def _allows_batches(jetstream: JetStreamContext, config: StreamConfig) -> bool:
    """Let an existing stream accept atomic batches. Returns whether it does."""
    config.allow_atomic = True
    try:
        allows = bool((await jetstream.update_stream(config)).config.allow_atomic)
    except (Error, OSError, TimeoutError):
        allows = False
    if not allows:
        _log.info("%s takes no atomic batches: the events of one tenant go out one by one", config.name)
    return allows


async def require_stream(
    jetstream: JetStreamContext,
    name: str,
    subjects: list[str],
    *,
    replicas: int | None,
    allow_atomic: bool = False,
) -> StreamConfig:
    """Create a stream with these subjects, or add them to it without changing its other settings.

    ``replicas`` is the number of servers of a new stream, one if it is None. ``allow_atomic`` lets a new one
    accept atomic batches. Returns the configuration as the server has it.
    """
    try:
        config = (await jetstream.stream_info(name)).config
    except NotFoundError:
        config = StreamConfig(
            name=name,
            subjects=subjects,
            storage=StorageType.FILE,
            num_replicas=replicas or 1,
            duplicate_window=FORGET_DUPLICATES_AFTER_SECONDS,
            allow_atomic=allow_atomic or None,
        )
        return (await jetstream.add_stream(config)).config
    present = config.subjects or []
    if missing := [subject for subject in subjects if subject not in present]:
        config.subjects = [*present, *missing]
        return (await jetstream.update_stream(config)).config
    return config


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) + 4 for name, value in message.headers.items())
    return len(message.data) + headers + len("NATS/1.0\r\n\r\n") + 64  # 64 for the client's own headers
