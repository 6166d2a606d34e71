"""Inbound messages with failures: of the database, of the connection, or of the messages themselves."""

import asyncio
import logging
from typing import Any

import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from support.orders import DURABLE, Orders, make_consumer, order, reasons, receiving, until_acknowledged
from support.outage import proxied
from support.relays import Site, in_place_and_taken_out
from support.waiting import until

from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.inbound import SqlInbound, StoredMessage
from hoc.events.message import InboundMessage
from hoc.events.nats import NatsConnection


@pytest.fixture(autouse=True)
async def _stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.events.inbound.FETCH_SECONDS", 0.2)
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="OTHERS", subjects=["order.*"])


async def test_waiting_for_messages_logs_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders()
    with caplog.at_level(logging.WARNING, "hoc.events"):
        async with receiving(site, {"order.placed": orders.handle}):
            await asyncio.sleep(1)
            await order(site, "one")
            await orders.until("one")
    assert caplog.messages == []


async def test_a_new_subscription_replaces_the_old_one(site: Site) -> None:
    orders = Orders()
    async with (
        proxied(site.url) as (behind, proxy),
        receiving(site, {"order.placed": orders.handle}, url=behind) as connection,
    ):
        await order(site, "one")
        await orders.until("one")
        await until_acknowledged(site)  # a transaction that the cut undoes would be done again
        before = subscriptions(connection)
        await proxy.cut()
        await order(site, "two")
        await asyncio.sleep(1)
        await proxy.connect()
        await orders.until("one", "two")
        assert subscriptions(connection) <= before + 1


def subscriptions(connection: NatsConnection) -> int:
    return len(connection._client._subs)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("message_id", ["é", "a\x01b", "x" * 256, "\x7f"])
async def test_an_id_that_cannot_be_stored_is_replaced(site: Site, message_id: str) -> None:
    orders = Orders()
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one", message_id)
        await order(site, "two")
        await orders.until("one", "two")
    assert await reasons(site) == []


async def test_a_subject_that_cannot_be_stored_is_cut(site: Site) -> None:
    orders = Orders()
    async with receiving(site, {"order.*": orders.handle}):
        await site.nats.publish(f"order.{'x' * 300}", {"order": "one"})
        await site.nats.publish(f"order.{'y' * 300}", b"no JSON")
        await order(site, "two")
        await orders.until("one", "two")

        async def is_dead() -> bool:
            return await reasons(site) != []

        await until(is_dead)


async def test_an_outage_counts_as_no_attempt(site: Site) -> None:
    """After it, a handler may fail as often as without it."""
    orders = Orders()
    async with (
        proxied(site.url) as (behind, proxy),
        receiving(site, {"order.placed": orders.handle}, url=behind),
    ):
        await order(site, "one")
        await orders.until("one")
        await until_acknowledged(site)
        await proxy.cut()
        await order(site, "two")
        await asyncio.sleep(1)
        orders.is_failing = True
        await proxy.connect()
        await orders.until("one", "two")
    assert await reasons(site) == []


async def test_messages_received_before_an_outage_are_handled_after(site: Site) -> None:
    """They do not wait until JetStream misses their acknowledgements."""
    await make_consumer(site, ack_wait=3_600)
    orders = Orders()
    numbers = [str(number) for number in range(8)]
    for number in numbers:
        await order(site, number)
    async with proxied(site.url) as (behind, proxy):

        async def cut(session: Any, message: InboundMessage) -> None:
            if not orders:
                orders.append("cut")
                await proxy.cut()
            await orders.handle(session, message)

        async with receiving(site, {"order.placed": cut}, url=behind):
            await asyncio.sleep(1)
            await proxy.connect()

            async def is_handled() -> bool:
                return set(numbers) <= set(orders)

            await until(is_handled)
            await until_acknowledged(site)


@pytest.mark.parametrize("lost", ["consumer", "stream", "server"])
async def test_receiving_resumes_after_a_loss(site: Site, lost: str) -> None:
    orders = Orders()
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one")
        await orders.until("one")
        if lost == "server":
            site.nats.stop()
            site.nats.start()
        else:
            async with site.nats.jetstream() as jetstream:
                if lost == "consumer":
                    await jetstream.delete_consumer("OTHERS", DURABLE)
                else:
                    await jetstream.delete_stream("OTHERS")
                    await jetstream.add_stream(name="OTHERS", subjects=["order.*"])
        await order(site, "two")
        await orders.until("one", "two")


async def test_a_lost_acknowledgement_repeats_the_message(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    ack_sync = Msg.ack_sync

    async def lose_the_first(message: Msg, timeout: float = 1) -> Msg:  # noqa: ASYNC109 - as it is in Msg
        if not lost:
            lost.append(message.subject)
            raise NatsTimeoutError
        return await ack_sync(message, timeout)

    monkeypatch.setattr(Msg, "ack_sync", lose_the_first)
    await make_consumer(site, ack_wait=0.5)
    orders = Orders()
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one")
        await order(site, "two")
        await orders.until("one", "two")
        await until_acknowledged(site)
    assert lost
    assert sorted(orders) == ["one", "two"]


@in_place_and_taken_out
async def test_the_id_is_stored_with_the_handlers_changes(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """If the handler fails, the id is rolled back with its changes, and the message is handled again."""
    claim = SqlInbound.claim

    async def claim_at_once(messages: SqlInbound, _session: SqlSession, message: StoredMessage) -> bool:
        async with site.database.transaction() as session:
            return await claim(messages, session, message)

    if taken_out:
        monkeypatch.setattr(SqlInbound, "claim", claim_at_once)
    await make_consumer(site, ack_wait=3_600)
    orders = Orders()
    orders.is_failing = True
    async with receiving(site, {"order.placed": orders.handle}):
        await order(site, "one")
        await until_acknowledged(site)
    assert orders == ([] if taken_out else ["one"])
