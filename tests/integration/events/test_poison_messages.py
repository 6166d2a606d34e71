"""Any message is handled, retried or a dead letter, and the messages behind it are handled meanwhile."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.effort import examples
from support.orders import Orders, order, reasons, receiving
from support.relays import Site
from support.waiting import until

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.inbound import SqlInbound, StoredMessage
from hoc.events.billing import billing_handlers
from hoc.events.inbound import Inbound
from hoc.events.message import InboundMessage

GOOD: Final = 27
PREFIX: Final = b"NATS/1.0"
PATIENCE_SECONDS: Final = 15
TOLD: Final = text("SELECT CAST(:order AS text), CAST(:time AS timestamptz), CAST(:subject AS text)")


@dataclass(frozen=True, slots=True)
class Raw:
    """A message's bytes as a publisher sends them."""

    subject: bytes
    headers: bytes
    body: bytes

    def sent(self) -> bytes:
        total = len(self.headers) + len(self.body)
        return b"HPUB %b %d %d\r\n%b%b\r\n" % (
            self.subject,
            len(self.headers),
            total,
            self.headers,
            self.body,
        )


def header(name: bytes, value: bytes, *, first: bytes = PREFIX) -> bytes:
    return b"%b\r\n%b: %b\r\n\r\n" % (first, name, value)


async def publish(site: Site, messages: Sequence[Raw]) -> None:
    """Send the messages past any client, which would refuse some of them, in one go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.nats.port)
    try:
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
        writer.write(b"".join(message.sent() for message in messages) + b"PING\r\n")
        answer = await reader.readline()
        assert answer == b"PONG\r\n", answer
    finally:
        writer.close()


PLAIN: Final = header(b"X-Any", b"1")
POISON: Final = {
    "a time before all others": Raw(
        b"order.placed", header(b"ce-time", b"0001-01-01T00:00:00+14:00"), b'{"order": "x"}'
    ),
    "an id with NUL": Raw(b"order.placed", header(b"Nats-Msg-Id", b"a\x00b"), b"[]"),
    "a subject with NUL": Raw(b"order.a\x00b", PLAIN, b"[]"),
    "a subject that is no text": Raw(b"order.\xff\xfe", PLAIN, b"[]"),
    "a subject with a form feed": Raw(b"order.a\fb\vc", PLAIN, b"[]"),
    "a header that is no text": Raw(b"order.placed", header(b"X-\xff", b"\xff"), b"[]"),
    "a status as a header": Raw(b"order.placed", header(b"Status", b"500"), b"[]"),
    "the status of no messages": Raw(b"order.placed", header(b"Status", b"404"), b"[]"),
    "the status of a heartbeat": Raw(b"order.placed", header(b"Status", b"100"), b""),
    "a status inline": Raw(b"order.placed", header(b"X", b"1", first=b"NATS/1.0 503"), b"[]"),
    "a status inline that is no text": Raw(b"order.placed", b"NATS/1.0 \xff\xff\xff\r\n\r\n", b"[]"),
    "a description that is no text": Raw(b"order.placed", b"NATS/1.0 408 \xff\r\n\r\n", b"[]"),
    "headers without a line": Raw(b"order.placed", b"NATS/1.0\r\n\r\n", b"[]"),
    "deep JSON": Raw(b"order.placed", PLAIN, b"[" * 900 + b"]" * 900),
    "a surrogate": Raw(b"order.placed", PLAIN, b'{"order": "\\ud800"}'),
    "a huge number": Raw(b"order.placed", PLAIN, b'{"order": %b}' % (b"9" * 400)),
    "huge headers": Raw(b"order.placed", header(b"X", b"x" * 60_000), b"[]"),
}


NAMES: Final = st.sampled_from([b"Nats-Msg-Id", b"ce-id", b"ce-time", b"Status", b"traceparent", b"X"])
NOT_IN_SUBJECTS: Final = b" \t\r\n.*>"
SUBJECTS: Final = st.one_of(
    st.just(b"invoice.created"),
    st.binary(min_size=1, max_size=12)
    .filter(lambda token: not set(NOT_IN_SUBJECTS) & set(token))
    .map(lambda token: b"order." + token),
)
VALUES: Final = st.one_of(
    st.binary(max_size=30),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat().encode()),
    st.integers(min_value=-(10**30), max_value=10**30).map(lambda number: str(number).encode()),
).filter(lambda value: not set(b"\r\n") & set(value))
HEADERS: Final = st.builds(
    header, NAMES, VALUES, first=st.sampled_from([PREFIX, PREFIX + b" 503", PREFIX + b" 100 \xff"])
)
JSON: Final = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["order", "tenant_id", "amount_cents"]), inner)
    ),
    max_leaves=5,
)
BODIES: Final = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.integers(200, 2_000).map(lambda depth: b'{"order":' * depth + b"1" + b"}" * depth),
)


class Settled(list[str]):
    """The outcomes of messages; an EventObserver."""

    def published(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def dead_lettered(self) -> None:
        raise AssertionError

    def received(self, outcome: str) -> None:
        if outcome != "failed":
            self.append(outcome)


class Strict(Orders):
    """Handles orders that are texts. PostgreSQL sees what the message says."""

    async def handle(self, session: Any, message: InboundMessage) -> None:
        told = {"order": message.data["order"], "time": message.time, "subject": message.subject}
        await session.execute(TOLD, told)
        await super().handle(session, message)


@pytest.fixture(autouse=True)
async def _stream(site: Site) -> None:
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="OTHERS", subjects=["order.*", "invoice.*"], duplicate_window=0.1)


async def check_that_others_flow(site: Site, poison: Sequence[Raw]) -> None:
    """Each message is settled, and the good ones behind them within seconds."""
    before = await site.nats.count("OTHERS")
    orders, settled = Strict(), Settled()
    handlers = billing_handlers(site.world.engines.billing) | {"order.*": orders.handle}
    async with site.connected() as (database, connection):
        inbound = Inbound(connection, database, handlers, group="test", backoff=(0.05,), observer=settled)
        async with inbound.running():
            await publish(site, poison)
            good = [Raw(b"order.placed", PLAIN, b'{"order": "good"}')] * GOOD

            async def all_good_are_handled() -> bool:
                return orders.count("good") >= GOOD

            async with asyncio.timeout(PATIENCE_SECONDS):
                await publish(site, good)
                await until(all_good_are_handled)
            stored = await site.nats.count("OTHERS") - before

            async def all_are_settled() -> bool:
                return len(settled) >= stored

            async with asyncio.timeout(12):
                await until(all_are_settled)


class Watched(Orders):
    """Fails with what ``problems`` gives until that gives None."""

    def __init__(self, problems: Callable[[int], BaseException | None]) -> None:
        super().__init__()
        self._problems, self._calls = problems, 0

    async def handle(self, session: Any, message: InboundMessage) -> None:
        self._calls += 1
        if (problem := self._problems(self._calls)) is not None:
            raise problem
        await super().handle(session, message)


async def test_what_an_outage_ended_counts_as_no_failure(site: Site) -> None:
    """After five of them the handler may still fail twice, as it may without an outage."""

    def problem(call: int) -> Exception | None:
        if call <= 5:
            return UnavailableError("away", retry_after=1)
        return RuntimeError() if call <= 7 else None

    orders = Watched(problem)
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one")
        await orders.until("one")
    assert await reasons(site) == []


@pytest.mark.parametrize("problem", [FileNotFoundError, TimeoutError, asyncio.CancelledError])
async def test_what_a_handler_raises_is_no_outage_and_no_end(
    site: Site, problem: type[BaseException]
) -> None:
    orders = Watched(lambda call: problem() if call <= 3 else None)
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one")

        async def is_dead() -> bool:
            return await reasons(site) == [problem.__name__]

        await until(is_dead)
        await order(site, "two")
        await orders.until("two")


async def test_a_dead_letter_is_logged_once_it_is_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it cannot be stored, the messages behind it are handled."""
    add = SqlInbound.add_dead_letter
    attempts: list[int] = []

    async def add_at_last(messages: SqlInbound, session: Any, message: StoredMessage, reason: str) -> None:
        attempts.append(sum("is a dead letter" in logged for logged in caplog.messages))
        if len(attempts) < 3:
            raise UnavailableError("away", retry_after=1)
        await add(messages, session, message, reason)

    monkeypatch.setattr(SqlInbound, "add_dead_letter", add_at_last)
    orders = Orders()
    async with receiving(site, {"order.placed": orders.handle}):
        await publish(site, [Raw(b"order.placed", PLAIN, b"no JSON")])
        await order(site, "one")
        await orders.until("one")

        async def is_dead() -> bool:
            return await reasons(site) != []

        await until(is_dead)
    assert attempts == [0, 0, 0]


async def test_poison_of_any_kind_blocks_no_other_message(site: Site) -> None:
    await check_that_others_flow(site, list(POISON.values()))
    assert len(await reasons(site)) == len(POISON)


@settings(
    max_examples=examples(12, torture=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(poison=st.lists(st.builds(Raw, SUBJECTS, HEADERS, BODIES), min_size=10, max_size=30))
async def test_any_bytes_block_no_other_message(site: Site, poison: list[Raw]) -> None:
    await check_that_others_flow(site, poison)
