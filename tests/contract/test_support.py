"""Support: the contact, and tickets."""

from functools import partial
from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, World, refusal, walk

from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotAMemberError, NotFoundError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.results import SupportContactResult


async def open_ticket(world: World, tenant_id: str, user_id: str, **changes: str) -> str:
    given = {"subject": "Help", "description": "It does not work"} | changes
    async with world.transaction() as session:
        ticket = await world.engines.support.create_ticket(session, tenant_id, user_id, **given)  # type: ignore[arg-type]  # any text
    return ticket.id


async def test_the_contact_is_what_the_options_say(world: World) -> None:
    assert world.facade.get_support_contact() == Options().support_contact
    contact = SupportContactResult("help@example.org", "always", "soon")
    assert world.engines_with(Options(support_contact=contact)).support.contact() == contact


async def test_any_member_opens_a_ticket(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        for user_id in team.everybody:
            ticket = await world.facade.create_support_ticket(
                session, team.tenant_id, user_id, subject=" Help ", description="Line one\n\tline two\n"
            )
            assert (ticket.subject, ticket.description) == ("Help", "Line one\n\tline two")
            assert (ticket.category, ticket.priority, ticket.status) == ("general", "medium", "open")
            assert ticket.created_at == ticket.updated_at == world.clock.now
            assert (ticket.resolution, ticket.resolved_at) == (None, None)
            assert ticket in (await world.facade.list_support_tickets(session, team.tenant_id)).tickets
        assert (await world.facade.list_support_tickets(session, team.tenant_id)).total == 4


async def test_only_a_member_opens_a_ticket(world: World) -> None:
    team, other = await world.team(), await world.team()
    await world.deactivate(team.viewer)
    create = world.engines.support.create_ticket
    async with world.transaction() as session:
        for tenant_id, user_id in (
            (team.tenant_id, other.owner),
            (team.tenant_id, team.viewer),
            (team.tenant_id, NOBODY),
            (NOWHERE, team.owner),
        ):
            with pytest.raises(NotAMemberError):
                await create(session, tenant_id, user_id, subject="S", description="D")
        assert (await world.facade.list_support_tickets(session, team.tenant_id)).total == 0


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ""},
        {"subject": "two\nlines"},
        {"subject": "x" * 201},
        {"description": "  "},
        {"description": "nul\x00"},
        {"description": "\x1b[31mred"},
        {"description": "x" * 10_001},
        {"category": "BILLING"},
        {"category": "gossip"},
        {"priority": "critical"},
    ],
)
async def test_bad_input_is_refused(world: World, change: dict[str, str]) -> None:
    tenant_id, owner = await world.tenant()
    given: dict[str, Any] = {"subject": "S", "description": "D"} | change
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await world.engines.support.create_ticket(session, tenant_id, owner, **given)


async def test_tickets_are_listed_by_status_newest_first(world: World) -> None:
    tenant_id, owner = await world.tenant()
    first = await open_ticket(world, tenant_id, owner)
    world.clock.advance(seconds=1)
    second = await open_ticket(world, tenant_id, owner)
    support = world.engines.support
    async with world.transaction() as session:
        await support.change_ticket_status(session, tenant_id, first, status="in_progress")
        every = (await support.list_tickets(session, tenant_id)).value
        opened = (await support.list_tickets(session, tenant_id, status="open")).value
        moving = (await support.list_tickets(session, tenant_id, status="in_progress")).value
        closed = (await support.list_tickets(session, tenant_id, status="closed")).value
        for status in ("OPEN", "done", ""):
            with pytest.raises(InvalidInputError):
                await support.list_tickets(session, tenant_id, status=status)  # type: ignore[arg-type]  # any text
    assert ([item.id for item in every.tickets], every.total) == ([second, first], 2)
    assert ([item.id for item in opened.tickets], opened.total) == ([second], 1)
    assert ([item.id for item in moving.tickets], moving.total) == ([first], 1)
    assert (closed.tickets, closed.total) == ([], 0)


async def test_a_resolution_stays_and_its_time_too(world: World) -> None:
    tenant_id, owner = await world.tenant()
    ticket_id = await open_ticket(world, tenant_id, owner)
    change = world.engines.support.change_ticket_status
    async with world.transaction() as session:
        world.clock.advance(hours=1)
        resolved_at = world.clock.now
        resolved = await change(session, tenant_id, ticket_id, status="resolved", resolution="Restarted")
        assert (resolved.resolution, resolved.resolved_at) == ("Restarted", resolved_at)
        assert resolved.updated_at == resolved_at
        world.clock.advance(hours=1)
        closed = await change(session, tenant_id, ticket_id, status="closed")
        assert (closed.resolution, closed.resolved_at) == ("Restarted", resolved_at)
        reopened = await change(session, tenant_id, ticket_id, status="open")
        assert (reopened.status, reopened.resolved_at) == ("open", None)


async def test_the_same_status_again_changes_nothing(world: World) -> None:
    tenant_id, owner = await world.tenant()
    ticket_id = await open_ticket(world, tenant_id, owner)
    change = world.engines.support.change_ticket_status
    async with world.transaction() as session:
        before = await change(session, tenant_id, ticket_id, status="resolved", resolution="Restarted")
        world.clock.advance(hours=1)
        for resolution in (None, "Restarted"):
            again = await change(session, tenant_id, ticket_id, status="resolved", resolution=resolution)
            assert again == before


async def test_a_foreign_ticket_is_like_none(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    foreign = await open_ticket(world, other_id, other)
    mine = await open_ticket(world, tenant_id, owner)
    support = world.engines.support
    async with world.transaction() as session:
        answers = {
            await refusal(support.change_ticket_status(session, tenant, ticket, status="closed"))
            for tenant, ticket in ((tenant_id, foreign), (tenant_id, "tkt_none"), (NOWHERE, foreign))
        }
        assert len(answers) == 1
        assert next(iter(answers))[0] is NotFoundError
        for resolution in ("", "nul\x00"):
            with pytest.raises(InvalidInputError):
                await support.change_ticket_status(
                    session, tenant_id, mine, status="closed", resolution=resolution
                )
        with pytest.raises(InvalidInputError):
            await support.change_ticket_status(session, tenant_id, mine, status="done")  # type: ignore[arg-type]  # any text
        listed = (await support.list_tickets(session, tenant_id)).value
        assert [(item.id, item.status) for item in listed.tickets] == [(mine, "open")]


async def test_tickets_of_one_moment_are_each_walked_once(world: World) -> None:
    tenant_id, owner = await world.tenant()
    ids = {await open_ticket(world, tenant_id, owner) for _ in range(5)}
    support = world.engines.support
    async with world.reading() as session:
        for limit in (1, 2, 5):
            pages = await walk(partial(support.list_tickets, session, tenant_id, status="open", limit=limit))
            walked = [item.id for page in pages for item in page.tickets]
            assert len(walked) == 5
            assert set(walked) == ids
            assert {page.total for page in pages} == {5}
