"""What lists are filtered by, beside what the tests of each list show."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from support.world import World, walk

from hoc.cus.account.L5_schemas.errors import InvalidInputError

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


async def open_tickets(world: World, tenant_id: str, user_id: str) -> dict[tuple[str, ...], str]:
    """A ticket of each kind, by its status, priority and category; of some the same moment."""
    tickets: dict[tuple[str, ...], str] = {}
    for number, kind in enumerate(product(("open", "closed"), ("low", "urgent"), ("billing", "general"))):
        status, priority, category = kind
        world.clock.advance(seconds=number % 2)
        async with world.transaction() as session:
            ticket = await world.engines.support.create_ticket(
                session,
                tenant_id,
                user_id,
                subject="Help",
                description="It does not work",
                priority=priority,  # type: ignore[arg-type]  # any text
                category=category,  # type: ignore[arg-type]  # any text
            )
            if status == "closed":
                await world.engines.support.change_ticket_status(
                    session, tenant_id, ticket.id, status="closed"
                )
        tickets[kind] = ticket.id
    return tickets


FILTERS: list[dict[str, str | None]] = [
    dict(zip(("status", "priority", "category"), chosen, strict=True))
    for chosen in product((None, "closed"), (None, "urgent"), (None, "billing"))
]


async def test_tickets_are_filtered_by_each_kind(empty_world: World) -> None:
    """Of one tenant and of all, two a page; a cursor is its filter's."""
    world = empty_world
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    of_tenant = await open_tickets(world, tenant_id, owner)
    of_other = await open_tickets(world, other_id, other)
    support = world.engines.support
    async with world.reading() as session:
        for wanted in FILTERS:
            chosen = {name: value for name, value in wanted.items() if value is not None}

            def fits(kind: tuple[str, ...], wanted: dict[str, str | None] = wanted) -> bool:
                return all(value in {None, given} for value, given in zip(wanted.values(), kind, strict=True))

            own = {id_ for kind, id_ in of_tenant.items() if fits(kind)}
            pages = await walk(partial(support.list_tickets, session, tenant_id, limit=2, **chosen))  # type: ignore[arg-type]
            listed = [ticket for page in pages for ticket in page.tickets]
            assert {ticket.id for ticket in listed} == own
            assert [page.total for page in pages] == [len(own)] * len(pages)
            assert listed == sorted(listed, key=lambda each: (each.created_at, each.id), reverse=True)
            of_all = [
                (ticket.tenant_id, ticket.id)
                for page in await walk(partial(support.list_all_tickets, session, limit=2, **chosen))  # type: ignore[arg-type]
                for ticket in page.tickets
            ]
            expected = {(tenant_id, id_) for id_ in own}
            assert {*of_all} == expected | {(other_id, id_) for kind, id_ in of_other.items() if fits(kind)}
            assert len(of_all) == 2 * len(own)
        first = await support.list_all_tickets(session, limit=1)
        with pytest.raises(InvalidInputError):
            await support.list_all_tickets(session, limit=1, status="open", cursor=first.next_cursor)
    assert first.value.tickets[0].tenant_name.startswith("Tenant ")


async def test_invoices_and_memberships_are_filtered(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        for number, status in enumerate(("open", "paid", "open")):
            await world.engines.billing.record_invoice(
                session,
                team.tenant_id,
                invoice_id=f"in_{number}",
                period_start=MARCH + timedelta(days=number),
                period_end=MARCH + timedelta(days=number + 1),
                amount_cents=1,
                status=status,
                description="A day",
            )
    others = [await world.tenant(team.member) for _ in range(2)]
    billing, members = world.engines.billing, world.engines.members
    async with world.reading() as session:
        invoices = await walk(partial(billing.list_invoices, session, team.tenant_id, status="open", limit=1))
        owned = await walk(partial(members.list_memberships, session, team.member, role="owner", limit=1))
        joined = (await members.list_memberships(session, team.member, role="member")).value
        viewers = await world.facade.list_tenant_users(session, team.tenant_id, role="viewer")
        listed = await world.facade.get_billing_invoices(session, team.tenant_id, status="paid")
    assert [each.invoice_id for page in invoices for each in page.invoices] == ["in_2", "in_0"]
    assert [page.total for page in invoices] == [2, 2]
    assert {each.tenant_id for page in owned for each in page.memberships} == {each for each, _ in others}
    assert ([each.tenant_id for each in joined.memberships], joined.total) == ([team.tenant_id], 1)
    assert ([each.user_id for each in viewers.users], viewers.total) == ([team.viewer], 1)
    assert [each.invoice_id for each in getattr(listed, "invoices", [])] == ["in_1"]


UNKNOWN: dict[str, Callable[[World, Any], Awaitable[object]]] = {
    "a priority": lambda it, s: it.engines.support.list_tickets(s, "t", priority="now"),  # type: ignore[arg-type]
    "a category": lambda it, s: it.engines.support.list_all_tickets(s, category="x"),  # type: ignore[arg-type]
    "an invoice's status": lambda it, s: it.engines.billing.list_invoices(s, "t", status="sent"),  # type: ignore[arg-type]
    "a member's role": lambda it, s: it.engines.members.list_tenant_users(s, "t", role="x"),  # type: ignore[arg-type]
    "a role": lambda it, s: it.engines.members.list_memberships(s, "u", role="king"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_an_unknown_kind_is_refused(world: World, unknown: str) -> None:
    async with world.reading() as session:
        with pytest.raises(InvalidInputError):
            await UNKNOWN[unknown](world, session)
