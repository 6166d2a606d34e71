"""Each inbound message is handled once, in its handler's transaction, or becomes a dead letter."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from support.relays import Site, in_place_and_taken_out
from support.seed import execute, scalar
from support.waiting import until

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.dead_letters import SqlDeadLetters
from hoc.cus.account.L6_drivers.inbound import SqlInbound
from hoc.events.billing import billing_handlers
from hoc.events.inbound import Inbound
from hoc.events.message import Handler, InboundMessage

BACKOFF = (0.05, 0.05)
NOTE = text("INSERT INTO account.tenant_slugs (slug, tenant_id) VALUES (:slug, 'noted')")
NOTED = "SELECT count(*) FROM account.tenant_slugs WHERE tenant_id = 'noted'"
PERIOD = {"current_period_start": "2026-03-01T00:00:00Z", "current_period_end": "2026-04-01T00:00:00Z"}
INVOICE = {
    "invoice_id": "in_1",
    "period_start": "2026-03-01T00:00:00Z",
    "period_end": "2026-04-01T00:00:00Z",
    "amount_cents": 4_900,
    "description": "March",
}


@pytest.fixture(autouse=True)
async def _stream(site: Site) -> None:
    async with site.nats.jetstream() as jetstream:
        subjects = ["order.*", "payment.*", "subscription.*", "invoice.*"]
        await jetstream.add_stream(name="OTHERS", subjects=subjects, duplicate_window=0.1)


class Outcomes(list[str]):
    """The outcomes of messages, in order; an EventObserver."""

    def published(self, seconds: float) -> None:
        raise AssertionError(f"nothing is published here, but was {seconds} ago")

    def dead_lettered(self) -> None:
        raise AssertionError("nothing is published here")

    def received(self, outcome: str) -> None:
        self.append(outcome)

    async def until(self, *outcomes: str) -> None:
        async def came() -> bool:
            return len(self) >= len(outcomes)

        await until(came)
        assert sorted(self) == sorted(outcomes)


@asynccontextmanager
async def receiving(
    site: Site, handlers: Mapping[str, Handler], *, backoff: Sequence[float] = BACKOFF
) -> AsyncGenerator[tuple[Inbound, Outcomes]]:
    outcomes = Outcomes()
    async with site.connected() as (database, connection):
        inbound = Inbound(connection, database, handlers, group="test", backoff=backoff, observer=outcomes)
        async with inbound.running():
            yield inbound, outcomes


async def noting(session: Any, message: InboundMessage) -> None:
    """Insert a row, and fail if the message says so."""
    await session.execute(NOTE, {"slug": f"{message.message_id}-{len(message.data)}"})
    if message.data.get("fails"):
        raise RuntimeError


@in_place_and_taken_out
async def test_a_duplicate_is_not_handled_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    handled: list[str] = []

    async def handle(_session: Any, message: InboundMessage) -> None:
        handled.append(message.message_id)

    if taken_out:

        async def claim(_self: object, _session: object, _message: object) -> bool:
            return True

        monkeypatch.setattr(SqlInbound, "claim", claim)
    async with receiving(site, {"order.placed": handle}) as (_, outcomes):
        await site.nats.publish("order.placed", {}, "one")
        await asyncio.sleep(0.3)  # until JetStream has forgotten the id
        await site.nats.publish("order.placed", {}, "one")
        await outcomes.until("handled", "handled" if taken_out else "repeated")
    assert handled == ["one"] * (2 if taken_out else 1)


async def test_two_servers_share_the_messages(site: Site) -> None:
    handlers = {"order.*": noting}
    async with receiving(site, handlers) as (_, one), receiving(site, handlers) as (_, other):
        for number in range(20):
            await site.nats.publish("order.placed", {}, f"order-{number}")

        async def all_noted() -> bool:
            return await scalar(site.database, NOTED) == 20

        await until(all_noted)
        await asyncio.sleep(0.1)
    assert one + other == ["handled"] * 20


async def test_a_message_that_keeps_failing_becomes_a_dead_letter(site: Site) -> None:
    """Its attempts leave no rows. It can be retried, and holds up no other message."""
    async with receiving(site, {"order.placed": noting}) as (inbound, outcomes):
        await site.nats.publish("order.placed", {"fails": True}, "bad")
        await site.nats.publish("order.placed", {}, "good")
        await outcomes.until("handled", "failed", "failed", "parked")
        assert await scalar(site.database, NOTED) == 1
        [item] = await dead_letters(site)
        assert (item.direction, item.id, item.subject) == ("in", "bad", "order.placed")
        assert item.reason == "RuntimeError"

        await retry(site)
        assert await inbound.retry_dead_letters() == 0
        assert not (await dead_letters(site))[0].retry, "it has failed again"
        await execute(site.database, "UPDATE account.dead_messages SET data = '{}'")
        await retry(site)
        while await dead_letters(site):
            await inbound.retry_dead_letters()
    assert await scalar(site.database, NOTED) == 2


async def hang() -> None:
    await asyncio.Event().wait()


async def be_reset() -> None:
    raise ConnectionResetError


async def cancel_itself() -> None:
    waited_for = asyncio.create_task(hang())
    waited_for.cancel()
    await waited_for


@pytest.mark.parametrize(
    ("failing", "reason"),
    [(hang, "TimeoutError"), (be_reset, "ConnectionResetError"), (cancel_itself, "CancelledError")],
)
async def test_no_failure_of_a_handler_is_taken_for_an_outage(
    site: Site, failing: Callable[[], Awaitable[None]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for the end of the work: it counts against the message, and the next message is handled."""
    monkeypatch.setattr("hoc.events.inbound.HANDLE_SECONDS", 0.2)

    async def handle(session: Any, message: InboundMessage) -> None:
        if message.data.get("fails"):
            await failing()
        await noting(session, message)

    async with receiving(site, {"order.placed": handle}) as (_, outcomes):
        await site.nats.publish("order.placed", {"fails": True}, "bad")
        await site.nats.publish("order.placed", {}, "good")
        await outcomes.until("handled", "failed", "failed", "parked")
    [item] = await dead_letters(site)
    assert item.reason == reason


async def dead_letters(site: Site) -> list[Any]:
    async with site.database.reading() as session:
        return list(await SqlDeadLetters().find_all(session))


async def retry(site: Site) -> None:
    async with site.database.transaction() as session:
        await SqlDeadLetters().request_retry(session, None)


@pytest.mark.parametrize("body", [b"{not json", b"[]", b'{"tenant_id": 1}', b"\xff\xfe"])
async def test_an_invalid_message_becomes_a_dead_letter_at_once(site: Site, body: bytes) -> None:
    handlers = billing_handlers(site.world.engines.billing)
    async with receiving(site, handlers) as (_, outcomes):
        await site.nats.publish("subscription.canceled", body, "hopeless")
        await outcomes.until("parked")
    [item] = await dead_letters(site)
    assert item.reason


async def test_an_outage_makes_no_dead_letter(site: Site) -> None:
    calls = 0

    async def handle(_session: Any, _message: InboundMessage) -> None:
        nonlocal calls
        calls += 1
        if calls <= len(BACKOFF) + 2:
            raise UnavailableError("away", retry_after=1)

    async with receiving(site, {"order.placed": handle}) as (_, outcomes):
        await site.nats.publish("order.placed", {}, "patient")
        await outcomes.until("handled")
    assert await dead_letters(site) == []


async def test_billing_follows_events_in_any_order(site: Site) -> None:
    tenant_id, _ = await site.world.tenant()

    async def plan() -> tuple[str, str, list[str]]:
        async with site.database.reading() as session:
            billing = site.world.engines.billing
            summary = await billing.summary(session, tenant_id)
            invoices = (await billing.list_invoices(session, tenant_id)).value.invoices
        return summary.plan, summary.status, [invoice.status for invoice in invoices]

    async def happens(subject: str, time: str, **data: Any) -> None:
        body = {"tenant_id": tenant_id, "whatever": "else", **data}
        await site.nats.publish(subject, body, f"{subject}-{time}", time=time)

    # The payment arrives before its invoice, and is retried for up to ten seconds.
    handlers, backoff = billing_handlers(site.world.engines.billing), [0.05] * 200
    async with receiving(site, handlers, backoff=backoff) as (_, outcomes):
        await happens("payment.completed", "2026-03-03T00:00:00Z", invoice_id="in_1")
        await until_outcome(outcomes, "failed")
        await happens("subscription.created", "2026-03-01T00:00:00Z", plan="pro", status="past_due", **PERIOD)
        await happens("invoice.created", "2026-03-02T00:00:00Z", status="open", **INVOICE)

        async def is_paid() -> bool:
            return await plan() == ("pro", "active", ["paid"])

        await until(is_paid)
        await happens("subscription.canceled", "2026-03-20T00:00:00Z")

        async def is_canceled() -> bool:
            return await plan() == ("free", "canceled", ["paid"])

        await until(is_canceled)
        # Older events that arrive late change nothing.
        await happens("subscription.created", "2026-03-10T00:00:00Z", plan="enterprise", **PERIOD)
        await happens("invoice.finalized", "2026-03-02T12:00:00Z", status="open", **INVOICE)

        async def all_are_handled() -> bool:
            return outcomes.count("handled") == 6

        await until(all_are_handled)
        assert await is_canceled()


async def until_outcome(outcomes: Outcomes, outcome: str) -> None:
    async def came() -> bool:
        return outcome in outcomes

    await until(came)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z"])
async def test_a_ce_time_out_of_bounds_is_a_dead_letter(site: Site, moment: str) -> None:
    """The messages after it are handled."""
    async with receiving(site, {"order.*": noting}) as (_, outcomes):
        await site.nats.publish("order.placed", {}, "wrong", time=moment)
        await site.nats.publish("order.placed", {}, "right", time="2026-03-01T00:00:00Z")
        await outcomes.until("parked", "handled")
    [letter] = await dead_letters(site)
    assert letter.reason == "ce-time: must be within the years 1900 to 2999"


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"period_start": "0001-01-01T00:00:00Z"}, "period_start: must be within the years 1900 to 2999"),
    ({"period_end": "9999-12-31T23:59:59.999999Z"}, "period_end: must be within the years 1900 to 2999"),
    ({"amount_cents": 19.0}, "/amount_cents Input should be a valid integer"),
    ({"amount_cents": True}, "/amount_cents Input should be a valid integer"),
    ({"amount_cents": "4900"}, "/amount_cents Input should be a valid integer"),
    ({"currency": "EURO"}, "currency: must be a code of ISO 4217"),
    ({"pdf_url": "http://billing.example.com/1.pdf"}, "pdf_url: must be an https URL"),
)


async def test_a_wrong_invoice_is_a_dead_letter(site: Site) -> None:
    async with receiving(site, billing_handlers(site.world.engines.billing)) as (_, outcomes):
        for number, (change, _) in enumerate(WRONG):
            data = INVOICE | {"tenant_id": "ten_none", "status": "open"} | change
            await site.nats.publish("invoice.created", data, f"wrong-{number}")
        await outcomes.until(*["parked"] * len(WRONG))
    reasons = {letter.id: letter.reason for letter in await dead_letters(site)}
    assert [why for n, (_, why) in enumerate(WRONG) if why not in reasons[f"wrong-{n}"]] == []


async def test_credit_notes_and_providers_statuses_arrive(site: Site) -> None:
    tenant_id, _ = await site.world.tenant()
    billing = site.world.engines.billing
    async with receiving(site, billing_handlers(billing)) as (_, outcomes):
        subscription = {"tenant_id": tenant_id, "plan": "pro", "status": "unpaid"} | PERIOD
        await site.nats.publish("subscription.created", subscription, "subscription")
        credit = {"tenant_id": tenant_id, "status": "refunded", "currency": "JPY", "amount_cents": -500}
        credit |= {
            "number": "CN-1",
            "hosted_url": "https://b.example/1",
            "pdf_url": "https://b.example/1.pdf",
        }
        await site.nats.publish("invoice.created", INVOICE | credit, "credit")
        await outcomes.until("handled", "handled")
    async with site.database.reading() as session:
        summary = await billing.summary(session, tenant_id)
        [invoice] = (await billing.list_invoices(session, tenant_id)).value.invoices
    assert (summary.plan, summary.status) == ("pro", "past_due")
    assert (invoice.amount_cents, invoice.currency, invoice.status) == (-500, "JPY", "void")
    assert (invoice.number, invoice.hosted_url, invoice.pdf_url) == tuple(list(credit.values())[-3:])
