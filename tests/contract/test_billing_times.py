"""``as_of``: a late message changes nothing."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeAlias

import pytest
from support.world import NOWHERE, World, refusal

from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError

Message: TypeAlias = Callable[[Any], Awaitable[object]]

MARCH, APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))

PERIOD: dict[str, Any] = {"current_period_start": MARCH, "current_period_end": APRIL}


def invoice(invoice_id: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "period_start": MARCH,
        "period_end": APRIL,
        "amount_cents": 4_900,
        "status": "paid",
        "description": "Pro plan, March",
    } | changes


async def parsed(world: World, tenant_id: str) -> list[str]:
    """The types and statuses of the tenant's billing events."""
    return [
        f"{event.type} {event.data['status']}"
        for event in await world.events(tenant_id=tenant_id)
        if event.type in {"tenant.subscription_changed", "tenant.invoice_recorded"}
    ]


async def test_a_value_as_of_later_stays(world: World) -> None:
    tenant_id, _ = await world.tenant()
    put = world.engines.billing.set_subscription
    record = world.engines.billing.record_invoice
    async with world.transaction() as session:
        await put(session, tenant_id, plan="pro", as_of=APRIL, **PERIOD)
        kept = await put(session, tenant_id, plan="enterprise", as_of=MARCH, **PERIOD)
        assert kept.plan == "pro"
        assert (
            await put(session, tenant_id, plan="enterprise", as_of=APRIL, **PERIOD)
        ).plan == "enterprise", "not earlier"
        paid = await record(session, tenant_id, **invoice("in_1", status="paid"), as_of=APRIL)
        assert await record(session, tenant_id, **invoice("in_1", status="open"), as_of=MARCH) == paid
        listed = (await world.engines.billing.list_invoices(session, tenant_id)).value
    assert listed.invoices == [paid]
    assert await parsed(world, tenant_id) == [
        "tenant.subscription_changed active",
        "tenant.subscription_changed active",
        "tenant.invoice_recorded paid",
    ]


async def test_the_same_value_as_of_later_changes_only_as_of(world: World) -> None:
    """A message that comes after a repetition of an earlier one is late if the repetition's time is later."""
    tenant_id, _ = await world.tenant()
    put = world.engines.billing.set_subscription
    record = world.engines.billing.record_invoice
    async with world.transaction() as session:
        await put(session, tenant_id, plan="pro", as_of=MARCH, **PERIOD)
        await record(session, tenant_id, **invoice("in_1"), as_of=MARCH)
        before = await world.engines.projects.get(session, tenant_id, tenant_id)
        await put(session, tenant_id, plan="pro", as_of=MAY, **PERIOD)
        await record(session, tenant_id, **invoice("in_1"), as_of=MAY)
        assert (await put(session, tenant_id, plan="enterprise", as_of=APRIL, **PERIOD)).plan == "pro"
        assert (
            await record(session, tenant_id, **invoice("in_1", status="void"), as_of=APRIL)
        ).status == "paid"
        assert await world.engines.projects.get(session, tenant_id, tenant_id) == before
    assert await parsed(world, tenant_id) == [
        "tenant.subscription_changed active",
        "tenant.invoice_recorded paid",
    ]


async def test_as_of_is_now_unless_it_is_given(world: World) -> None:
    tenant_id, _ = await world.tenant()
    put = world.engines.billing.set_subscription
    tokyo = timezone(timedelta(hours=9))
    async with world.transaction() as session:
        await put(session, tenant_id, plan="pro", **PERIOD)
        earlier = (world.clock.now - timedelta(seconds=1)).astimezone(tokyo)
        assert (await put(session, tenant_id, plan="enterprise", as_of=earlier, **PERIOD)).plan == "pro"
        world.clock.advance(seconds=1)
        assert (await put(session, tenant_id, plan="enterprise", **PERIOD)).plan == "enterprise"
        with pytest.raises(InvalidInputError, match="as_of"):
            await put(session, tenant_id, plan="pro", as_of=datetime(2026, 3, 1), **PERIOD)  # noqa: DTZ001 - that is what is wrong


async def test_canceling_leaves_the_rest_of_the_subscription(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        first = await billing.set_subscription(
            session, tenant_id, plan="pro", billing_period="yearly", next_invoice_date=APRIL, **PERIOD
        )
        canceled = await billing.cancel_subscription(session, tenant_id, actor="usr_operator")
        assert await billing.cancel_subscription(session, tenant_id) == canceled
    assert (canceled.plan, canceled.status, canceled.max_runs_per_day) == ("free", "canceled", 100)
    assert (canceled.billing_period, canceled.next_invoice_date) == ("yearly", APRIL)
    assert canceled.current_period_start == first.current_period_start
    assert await parsed(world, tenant_id) == [
        "tenant.subscription_changed active",
        "tenant.subscription_changed canceled",
    ]
    event = (await world.events(tenant_id=tenant_id))[-1]
    assert (event.actor, event.data["plan"], event.data["tenant_plan"]) == ("usr_operator", "pro", "free")


async def test_canceling_as_of_earlier_changes_nothing(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        current = await billing.set_subscription(session, tenant_id, plan="pro", as_of=APRIL, **PERIOD)
        assert await billing.cancel_subscription(session, tenant_id, as_of=MARCH) == current


@pytest.mark.parametrize(
    ("before", "after"),
    [("past_due", "active"), ("active", "active"), ("trialing", "trialing"), ("canceled", "canceled")],
)
async def test_a_payment_settles_the_invoice_and_what_was_past_due(
    world: World, before: Any, after: Any
) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        await billing.set_subscription(session, tenant_id, plan="pro", status=before, **PERIOD)
        await billing.record_invoice(session, tenant_id, **invoice("in_1", status="open"))
        world.clock.advance(minutes=1)
        paid = await billing.record_payment(session, tenant_id, invoice_id="in_1")
        assert await billing.record_payment(session, tenant_id, invoice_id="in_1") == paid
        summary = await billing.summary(session, tenant_id)
        listed = (await billing.list_invoices(session, tenant_id)).value
    assert (paid.status, summary.status) == ("paid", after)
    assert listed.invoices == [paid]
    settled = ["tenant.subscription_changed active"] if before == "past_due" else []
    assert await parsed(world, tenant_id) == [
        f"tenant.subscription_changed {before}",
        "tenant.invoice_recorded open",
        "tenant.invoice_recorded paid",
        *settled,
    ]


async def test_a_payment_without_a_subscription(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        await billing.record_invoice(session, tenant_id, **invoice("in_1", status="open"))
        paid = await billing.record_payment(session, tenant_id, invoice_id="in_1")
        summary = await billing.summary(session, tenant_id)
    assert (paid.status, summary.plan) == ("paid", "free")


async def test_a_payment_as_of_earlier_changes_nothing(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        await billing.set_subscription(session, tenant_id, plan="pro", status="past_due", as_of=MAY, **PERIOD)
        void = await billing.record_invoice(session, tenant_id, **invoice("in_1", status="void"), as_of=MAY)
        assert await billing.record_payment(session, tenant_id, invoice_id="in_1", as_of=APRIL) == void
        assert (await billing.summary(session, tenant_id)).status == "past_due"


@pytest.mark.parametrize("known_at", [0, 1, 2, 3], ids=["first", "before", "after", "last"])
async def test_a_payment_settles_what_was_past_due_whenever_that_becomes_known(
    world: World, known_at: int
) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    messages: list[Message] = [
        lambda session: billing.record_invoice(
            session, tenant_id, **invoice("in_1", status="open"), as_of=MARCH
        ),
        lambda session: billing.record_payment(session, tenant_id, invoice_id="in_1", as_of=APRIL),
        lambda session: billing.record_invoice(session, tenant_id, **invoice("in_1"), as_of=MAY),
    ]
    messages.insert(
        known_at,
        lambda session: billing.set_subscription(
            session, tenant_id, plan="pro", status="past_due", as_of=MARCH, **PERIOD
        ),
    )
    for message in messages:
        async with world.transaction() as session:
            await message(session)
    async with world.transaction() as session:
        summary = await billing.summary(session, tenant_id)
        assert (summary.plan, summary.status) == ("pro", "active")
        due = await billing.set_subscription(
            session, tenant_id, plan="pro", status="past_due", as_of=MAY, **PERIOD
        )
    assert due.status == "past_due"


async def test_paying_or_canceling_nothing_is_refused(world: World) -> None:
    (tenant_id, _), (other_id, _) = await world.tenant(), await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        await billing.record_invoice(session, other_id, **invoice("in_1", status="open"))
        await billing.set_subscription(session, other_id, plan="pro", **PERIOD)
        refused = {
            await refusal(billing.record_payment(session, tenant_id, invoice_id="in_1")),
            await refusal(billing.record_payment(session, NOWHERE, invoice_id="in_1")),
            await refusal(billing.cancel_subscription(session, tenant_id)),
            await refusal(billing.cancel_subscription(session, NOWHERE)),
        }
    assert {answer[0] for answer in refused} == {NotFoundError}


FAR_EAST, FAR_WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))
OUTSIDE = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=FAR_EAST),
    datetime(1601, 1, 1, tzinfo=UTC),
    datetime(1900, 1, 1, 13, 59, tzinfo=FAR_EAST),
    datetime(2999, 12, 31, 12, tzinfo=FAR_WEST),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=FAR_WEST),
)


@pytest.mark.parametrize("moment", OUTSIDE)
async def test_a_time_outside_1900_to_2999_is_refused(world: World, moment: datetime) -> None:
    tenant_id, owner = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        for name in ("as_of", "period_start", "period_end"):
            with pytest.raises(InvalidInputError, match="within the years 1900 to 2999"):
                await billing.record_invoice(session, tenant_id, **invoice("in_1", **{name: moment}))
        for name in ("as_of", "current_period_start", "current_period_end", "next_invoice_date"):
            values: dict[str, Any] = {"plan": "pro"} | PERIOD | {name: moment}
            with pytest.raises(InvalidInputError, match="within the years 1900 to 2999"):
                await billing.set_subscription(session, tenant_id, **values)
        for name in ("since", "until"):
            bounds: dict[str, Any] = {name: moment}
            with pytest.raises(InvalidInputError, match="within the years 1900 to 2999"):
                await world.facade.audit.list(session, tenant_id, owner, **bounds)
