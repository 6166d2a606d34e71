"""The thread of a ticket: replies from both sides, resolving, reopening."""

from functools import partial

import pytest
from support.world import NOBODY, NOWHERE, Team, World, outcome, refusal, walk

from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotAMemberError,
    NotFoundError,
    TenantNotActiveError,
)

STAFF = "agent@desk"


async def open_ticket(world: World, team: Team) -> str:
    """A ticket that the team's member opened, a minute ago."""
    async with world.transaction() as session:
        ticket = await world.facade.create_support_ticket(
            session, team.tenant_id, team.member, subject="Help", description="It does not work"
        )
    world.clock.advance(minutes=1)
    return ticket.id


async def test_both_sides_reply_in_one_thread(world: World) -> None:
    team = await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        await world.facade.update_profile(session, team.member, display_name="Grace")
        asked = await support.reply(session, *ticket, team.member, text=" Any news?\n\tNone yet. ")
        assert (asked.text, asked.author_id, asked.author_name) == (
            "Any news?\n\tNone yet.",
            team.member,
            "Grace",
        )
        assert not asked.is_support
        assert (await support.get_ticket(session, *ticket)).status == "open"
        world.clock.advance(minutes=1)
        answer = await support.reply(session, *ticket, STAFF, text="Soon.", as_support=True)
        assert (answer.author_id, answer.author_name, answer.is_support) == (STAFF, None, True)
        shown = await support.get_ticket(session, *ticket)
        assert (shown.status, shown.updated_at, shown.user_id) == (
            "in_progress",
            world.clock.now,
            team.member,
        )
        world.clock.advance(minutes=1)
        thanks = await support.reply(session, *ticket, team.admin, text="Thank you.")
        assert (await support.get_ticket(session, *ticket)).status == "in_progress"
        thread = (await support.list_replies(session, *ticket)).value
    assert (thread.replies, thread.total) == ([asked, answer, thanks], 3)


async def test_the_author_owners_and_admins_answer(world: World) -> None:
    team, other = await world.team(), await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        for user_id in (team.member, team.admin, team.owner):
            assert (await support.reply(session, *ticket, user_id, text="Me, too.")).author_id == user_id
            assert (await support.resolve(session, *ticket, user_id)).status == "resolved"
            assert (await support.reopen(session, *ticket, user_id)).status == "open"
        for user_id, expected in (
            (team.viewer, ForbiddenError),
            (other.owner, NotAMemberError),
            (NOBODY, NotAMemberError),
        ):
            for act in (
                support.reply(session, *ticket, user_id, text="Me, too."),
                support.resolve(session, *ticket, user_id),
                support.reopen(session, *ticket, user_id),
            ):
                assert (await refusal(act))[0] is expected
        assert (await support.list_replies(session, *ticket)).value.total == 3


async def test_a_resolved_ticket_takes_no_reply(world: World) -> None:
    team = await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        resolved = await support.resolve(session, *ticket, STAFF, resolution=" Restarted ", as_support=True)
        assert (resolved.status, resolved.resolution) == ("resolved", "Restarted")
        assert resolved.resolved_at == resolved.updated_at == world.clock.now
        world.clock.advance(minutes=1)
        for resolution in (None, "Restarted"):
            assert await support.resolve(session, *ticket, team.member, resolution=resolution) == resolved
        for status in ("resolved", "closed"):
            await support.change_ticket_status(session, *ticket, status=status)
            for act in (
                support.reply(session, *ticket, team.member, text="Thanks"),
                support.reply(session, *ticket, STAFF, text="You are welcome", as_support=True),
                support.resolve(session, *ticket, team.owner, resolution="Never mind"),
            ):
                assert await outcome(act) == (ConflictError, "ticket_resolved")
        reopened = await support.reopen(session, *ticket, team.member)
        assert (reopened.status, reopened.resolution, reopened.resolved_at) == ("open", "Restarted", None)
        assert await support.reopen(session, *ticket, team.member) == reopened
        await support.reply(session, *ticket, team.member, text="It is broken again")


async def test_a_reopened_ticket_keeps_what_is_in_progress(world: World) -> None:
    team = await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        before = await support.change_ticket_status(session, *ticket, status="in_progress")
        world.clock.advance(minutes=1)
        assert await support.reopen(session, *ticket, STAFF, as_support=True) == before


async def test_a_thread_of_another_tenant_is_like_none(world: World) -> None:
    team, other = await world.team(), await world.team()
    ticket_id = await open_ticket(world, team)
    support = world.engines.support
    answers: set[object] = set()
    async with world.transaction() as session:
        await support.reply(session, team.tenant_id, ticket_id, STAFF, text="Soon", as_support=True)
        for ticket in ((other.tenant_id, ticket_id), (team.tenant_id, "tkt_0"), (NOWHERE, ticket_id)):
            for act in (
                support.get_ticket(session, *ticket),
                support.list_replies(session, *ticket),
                support.reply(session, *ticket, STAFF, text="Soon", as_support=True),
                support.resolve(session, *ticket, STAFF, as_support=True),
                support.reopen(session, *ticket, STAFF, as_support=True),
            ):
                answers.add(await refusal(act))
        answers.add(await refusal(support.reopen(session, other.tenant_id, ticket_id, other.owner)))
        assert (await support.list_replies(session, team.tenant_id, ticket_id)).value.total == 1
    assert {answer[0] for answer in answers} == {NotFoundError}  # type: ignore[index]
    assert len(answers) == 1


async def test_members_of_a_suspended_tenant_only_read(world: World) -> None:
    team = await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        await world.engines.projects.change_status(session, team.tenant_id, "suspended")
        with pytest.raises(TenantNotActiveError):
            await support.reply(session, *ticket, team.member, text="Please")
        await support.reply(session, *ticket, STAFF, text="The invoice is due", as_support=True)
        assert (await support.list_replies(session, *ticket)).value.total == 1


@pytest.mark.parametrize("text", ["", " \n", "nul\x00", "\x1b[31mred", "x" * 10_001])
async def test_bad_text_is_refused(world: World, text: str) -> None:
    team = await world.team()
    ticket = team.tenant_id, await open_ticket(world, team)
    support = world.engines.support
    async with world.transaction() as session:
        with pytest.raises(InvalidInputError):
            await support.reply(session, *ticket, team.member, text=text)
        with pytest.raises(InvalidInputError):
            await support.resolve(session, *ticket, team.member, resolution=text)
        assert (await support.list_replies(session, *ticket)).value.total == 0


async def test_replies_of_one_moment_are_each_walked_once(world: World) -> None:
    team = await world.team()
    ticket, second = [(team.tenant_id, await open_ticket(world, team)) for _ in range(2)]
    support = world.engines.support
    async with world.transaction() as session:
        ids = {(await support.reply(session, *ticket, team.member, text=str(n))).id for n in range(5)}
        await support.reply(session, *second, team.member, text="Elsewhere")
        for limit in (1, 2, 5):
            pages = await walk(partial(support.list_replies, session, *ticket, limit=limit))
            walked = [reply.id for page in pages for reply in page.replies]
            assert len(walked) == 5
            assert set(walked) == ids
            assert {page.total for page in pages} == {5}
        cursor = (await support.list_replies(session, *ticket, limit=1)).next_cursor
        with pytest.raises(InvalidInputError):
            await support.list_replies(session, *second, cursor=cursor)
