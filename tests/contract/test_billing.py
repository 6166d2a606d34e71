"""Subscriptions and invoices, written by the billing system and shown by the console."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from support.world import NOWHERE, World, refusal, walk

from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.results import ExtendedInvoiceListResult

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


async def test_without_a_subscription_the_plan_is_free(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.reading() as session:
        summary = await world.engines.billing.summary(session, tenant_id)
        invoices = (await world.engines.billing.list_invoices(session, tenant_id)).value
    assert (summary.plan, summary.status, summary.billing_period) == ("free", "active", "monthly")
    assert (summary.current_period_start, summary.current_period_end) == (None, None)
    assert summary.next_invoice_date is None
    assert (summary.max_runs_per_day, summary.max_tokens_per_month) == (100, 1_000_000)
    assert (invoices.invoices, invoices.total) == ([], 0)
    assert invoices.message
    assert "no subscription" in invoices.message


async def test_a_subscription_is_shown_and_brings_its_quotas(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        summary = await world.engines.billing.set_subscription(
            session,
            tenant_id,
            plan="enterprise",
            status="trialing",
            billing_period="yearly",
            current_period_start=MARCH,
            current_period_end=MARCH.replace(year=2027),
            next_invoice_date=APRIL,
        )
        assert summary == await world.engines.billing.summary(session, tenant_id)
        project = await world.facade.get_project_detail(session, tenant_id, tenant_id)
        invoices = (await world.engines.billing.list_invoices(session, tenant_id)).value
    assert (summary.plan, summary.status, summary.billing_period) == ("enterprise", "trialing", "yearly")
    assert (summary.current_period_start, summary.next_invoice_date) == (MARCH, APRIL)
    assert (summary.max_runs_per_day, summary.max_tokens_per_month) == (100_000, 1_000_000_000)
    assert project is not None
    assert (project.plan, project.max_workers, project.max_api_keys) == ("enterprise", 100, 100)
    assert invoices.message is None, "there is a subscription, if no invoice yet"


async def test_a_canceled_subscription_is_back_on_the_free_plan(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    async with world.transaction() as session:
        await billing.set_subscription(session, tenant_id, plan="pro", **PERIOD)
        summary = await billing.set_subscription(session, tenant_id, plan="pro", status="canceled", **PERIOD)
    assert (summary.plan, summary.status, summary.max_runs_per_day) == ("free", "canceled", 100)


async def test_the_same_subscription_again_changes_nothing(world: World) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        first = await world.engines.billing.set_subscription(session, tenant_id, plan="pro", **PERIOD)
        before = await world.engines.projects.get(session, tenant_id, tenant_id)
    async with world.transaction() as session:
        assert await world.engines.billing.set_subscription(session, tenant_id, plan="pro", **PERIOD) == first
        assert await world.engines.projects.get(session, tenant_id, tenant_id) == before
    assert before is not None
    assert before.version == 2


async def test_times_are_utc_whatever_zone_they_come_in(world: World) -> None:
    tenant_id, _ = await world.tenant()
    tokyo = timezone(timedelta(hours=9))
    async with world.transaction() as session:
        summary = await world.engines.billing.set_subscription(
            session,
            tenant_id,
            plan="pro",
            current_period_start=MARCH.astimezone(tokyo),
            current_period_end=APRIL.astimezone(tokyo),
        )
        written = await world.engines.billing.record_invoice(
            session, tenant_id, **invoice("in_1", period_start=MARCH.astimezone(tokyo))
        )
        listed = (await world.engines.billing.list_invoices(session, tenant_id)).value
    assert summary.current_period_start == MARCH
    assert listed.invoices == [written]
    for moment in (summary.current_period_start, written.period_start, listed.invoices[0].period_start):
        assert moment is not None
        assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "change",
    [
        {"plan": "PRO"},
        {"plan": "platinum"},
        {"status": "PAUSED"},
        {"billing_period": "weekly"},
        {"current_period_end": MARCH},
        {"current_period_end": datetime(3000, 1, 1, tzinfo=UTC)},
        {"next_invoice_date": datetime(1899, 12, 31, 23, 59, tzinfo=UTC)},
        {"current_period_start": datetime(2026, 3, 1)},  # noqa: DTZ001 - that is what is wrong with it
        {"next_invoice_date": datetime(2026, 3, 1)},  # noqa: DTZ001 - that is what is wrong with it
    ],
)
async def test_a_bad_subscription_is_refused(world: World, change: dict[str, Any]) -> None:
    tenant_id, _ = await world.tenant()
    given: dict[str, Any] = {"plan": "pro"} | PERIOD | change
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.billing.set_subscription(session, tenant_id, **given)


@pytest.mark.parametrize(
    "change",
    [
        {"invoice_id": ""},
        {"invoice_id": "a\x00"},
        {"invoice_id": "x" * 256},
        {"amount_cents": -(2**63)},
        {"amount_cents": 2**63},
        {"currency": "eur"},
        {"currency": "BTC"},
        {"currency": ""},
        {"number": ""},
        {"number": "two\nlines"},
        {"hosted_url": "http://billing.example.com/1"},
        {"hosted_url": "javascript:alert(1)"},
        {"pdf_url": "https://user@billing.example.com/1.pdf"},
        {"status": "PAID"},
        {"status": "sent"},
        {"description": ""},
        {"description": "nul\x00"},
        {"period_start": datetime(2026, 3, 1)},  # noqa: DTZ001 - that is what is wrong with it
    ],
)
async def test_a_bad_invoice_is_refused(world: World, change: dict[str, Any]) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.billing.record_invoice(session, tenant_id, **invoice("in_1", **change))


async def test_invoices_are_listed_newest_period_first(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.billing.record_invoice
    async with world.transaction() as session:
        march = await record(session, tenant_id, **invoice("in_march"))
        may = await record(session, tenant_id, **invoice("in_may", period_start=MAY, amount_cents=2**63 - 1))
        april = await record(session, tenant_id, **invoice("in_april", period_start=APRIL, amount_cents=0))
        listed = await world.facade.get_billing_invoices(session, tenant_id)
        page = (await world.engines.billing.list_invoices(session, tenant_id, limit=1, offset=1)).value
    assert listed == ExtendedInvoiceListResult([may, april, march], 3, None)
    assert (page.invoices, page.total) == ([april], 3)


async def test_an_invoice_has_a_number_and_links(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    links = {
        "number": "2026-0001",
        "hosted_url": "https://billing.example.com/i/1?a=%20",
        "pdf_url": "HTTPS://billing.example.com/i/1.pdf",
    }
    async with world.transaction() as session:
        bare = await billing.record_invoice(session, tenant_id, **invoice("in_1"))
        assert (bare.number, bare.hosted_url, bare.pdf_url) == (None, None, None)
        given = await billing.record_invoice(session, tenant_id, **invoice("in_1", status="open", **links))
        assert given.number == "2026-0001"
        assert (given.hosted_url, given.pdf_url) == (
            "https://billing.example.com/i/1?a=%20",
            "https://billing.example.com/i/1.pdf",
        )
        paid = await billing.record_payment(session, tenant_id, invoice_id="in_1")
        assert paid == replace(given, status="paid")
        assert (await billing.list_invoices(session, tenant_id)).value.invoices == [paid]


async def test_owners_and_admins_have_the_link_to_the_portal(world: World) -> None:
    team, (_, other) = await world.team(), await world.tenant()
    options = Options(billing_portal_url="https://billing.example.com/portal?of={tenant_id}")
    billing, link = (
        world.engines_with(options).billing,
        f"https://billing.example.com/portal?of={team.tenant_id}",
    )
    await world.deactivate(team.admin)
    second = await world.join(team.tenant_id, team.owner, "admin")
    expected = {team.owner: link, second: link, team.member: None, team.viewer: None}
    expected |= {team.admin: None, other: None}
    async with world.reading() as session:
        shown = {user: (await billing.summary(session, team.tenant_id, user)).portal_url for user in expected}
        assert shown == expected
        assert (await billing.summary(session, team.tenant_id)).portal_url is None
        without = await world.engines.billing.summary(session, team.tenant_id, team.owner)
        assert without.portal_url is None


async def test_a_credit_note_is_an_invoice_below_zero(world: World) -> None:
    tenant_id, _ = await world.tenant()
    record = world.engines.billing.record_invoice
    async with world.transaction() as session:
        note: dict[str, Any] = {"amount_cents": -(2**63 - 1), "currency": "BHD", "period_start": APRIL}
        owed = await record(session, tenant_id, **invoice("in_1", currency="JPY"))
        credit = await record(
            session,
            tenant_id,
            **invoice("cn_1", **note),
        )
        paid = await world.engines.billing.record_payment(session, tenant_id, invoice_id="cn_1")
        listed = await world.facade.get_billing_invoices(session, tenant_id)
    assert isinstance(listed, ExtendedInvoiceListResult)
    assert listed.invoices == [credit, owed]
    assert paid == credit, "a payment leaves the amount and the currency"
    assert [(each.amount_cents, each.currency) for each in listed.invoices] == [
        (-(2**63 - 1), "BHD"),
        (4_900, "JPY"),
    ]


@pytest.mark.parametrize(
    ("given", "stored", "plan"),
    [
        ("in_trial", "trialing", "pro"),
        ("unpaid", "past_due", "pro"),
        ("paused", "canceled", "free"),
        ("incomplete", "canceled", "free"),
        ("refunded", "canceled", "free"),
    ],
)
async def test_a_providers_status_becomes_one_of_hocs(
    world: World, given: str, stored: str, plan: str
) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        put = await world.engines.billing.set_subscription(
            session, tenant_id, plan="pro", status=given, **PERIOD
        )
    assert (put.status, put.plan) == (stored, plan)


@pytest.mark.parametrize(
    ("given", "stored"), [("unpaid", "open"), ("refunded", "void"), ("partially_refunded", "paid")]
)
async def test_an_invoices_status_becomes_one_of_hocs(world: World, given: str, stored: str) -> None:
    tenant_id, _ = await world.tenant()
    async with world.transaction() as session:
        put = await world.engines.billing.record_invoice(session, tenant_id, **invoice("in_1", status=given))
    assert put.status == stored


async def test_an_invoice_is_replaced_by_its_id(world: World) -> None:
    (tenant_id, _), (other_id, _) = await world.tenant(), await world.tenant()
    record = world.engines.billing.record_invoice
    async with world.transaction() as session:
        await record(session, tenant_id, **invoice("in_1", status="open"))
        foreign = await record(session, other_id, **invoice("in_1", amount_cents=1))
        paid = await record(session, tenant_id, **invoice("in_1", status="paid"))
        assert await record(session, tenant_id, **invoice("in_1", status="paid")) == paid
        mine = (await world.engines.billing.list_invoices(session, tenant_id)).value
        theirs = (await world.engines.billing.list_invoices(session, other_id)).value
    assert (mine.invoices, mine.total) == ([paid], 1)
    assert theirs.invoices == [foreign], "another tenant's invoice of the same id is another"


async def test_invoices_of_one_period_are_each_walked_once(world: World) -> None:
    tenant_id, _ = await world.tenant()
    billing = world.engines.billing
    ids = {f"in_{number:02}" for number in range(7)}
    async with world.transaction() as session:
        for invoice_id in ids:
            await billing.record_invoice(session, tenant_id, **invoice(invoice_id))
        for limit in (1, 3, 7):
            pages = await walk(partial(billing.list_invoices, session, tenant_id, limit=limit))
            walked = [item for page in pages for item in page.invoices]
            assert [item.invoice_id for item in walked] == sorted(ids, reverse=True)
            assert {page.total for page in pages} == {7}


async def test_an_unknown_tenant_has_no_billing(world: World) -> None:
    billing = world.engines.billing
    async with world.transaction() as session:
        answers = {
            await refusal(billing.summary(session, NOWHERE)),
            await refusal(billing.list_invoices(session, NOWHERE)),
            await refusal(billing.record_invoice(session, NOWHERE, **invoice("in_1"))),
            await refusal(
                billing.set_subscription(
                    session, NOWHERE, plan="pro", current_period_start=MARCH, current_period_end=APRIL
                )
            ),
        }
    assert {answer[0] for answer in answers} == {NotFoundError}
