"""The audit trail: a tenant's own events, newest first, for its owners and admins."""

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, Team, World, refusal, walk

from hoc.cus.account.L5_engines.paging import CursorScope
from hoc.cus.account.L5_schemas.errors import ForbiddenError, InvalidInputError, NotAMemberError
from hoc.cus.account.L5_schemas.port_types import EventNames, SortKey, UncountedSlice
from hoc.cus.account.L5_schemas.results import EventResult

TOKYO = timezone(timedelta(hours=9))


async def trail(world: World, team: Team, **wanted: Any) -> list[EventResult]:
    wanted.setdefault("limit", 100)
    async with world.reading() as session:
        page = await world.facade.audit.list(session, team.tenant_id, team.owner, **wanted)
    return page.value.events


async def open_tickets(world: World, team: Team, *subjects: str) -> None:
    """Open tickets in one transaction, at one time."""
    async with world.transaction() as session:
        for subject in subjects:
            await world.facade.support.create_ticket(
                session, team.tenant_id, team.viewer, subject=subject, description="D"
            )


def subjects(events: list[EventResult]) -> list[str]:
    return [event.data["subject"] for event in events if event.type == "ticket.created"]


async def test_the_trail_has_every_event_newest_first(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.engines.members.change_role(session, team.tenant_id, team.owner, team.viewer, "member")
    await world.suspend(team.tenant_id)
    recorded = await world.events(tenant_id=team.tenant_id)
    assert len(recorded) == 13, "the tenant, its owner, three for each of three members, and two changes"
    assert await trail(world, team) == recorded[::-1]


async def test_the_trail_has_exactly_the_committed_events(world: World) -> None:
    team = await world.team()
    before = await trail(world, team)
    async with world.session() as session:
        await world.facade.projects.advance_onboarding(session, team.tenant_id, 1)
        assert await trail(world, team) == before
        mine = await world.facade.audit.list(session, team.tenant_id, team.owner, limit=1)
        assert mine.value.events[0].type == "tenant.onboarding_advanced", "one's own event at once"
        await session.rollback()
        assert await trail(world, team) == before
        await world.facade.projects.advance_onboarding(session, team.tenant_id, 2)
        await session.commit()
    assert [event.data["onboarding_state"] for event in (await trail(world, team))[: -len(before)]] == [2]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_a_walk_reads_each_event_of_one_time_once(world: World, limit: int) -> None:
    team = await world.team()
    names = [f"S{number}" for number in range(7)]
    await open_tickets(world, team, *names)
    async with world.reading() as session:
        walked = await walk(
            partial(world.facade.audit.list, session, team.tenant_id, team.owner, limit=limit)
        )
    events = [event for page in walked for event in page.events]
    assert {len(page.events) for page in walked[:-1]} <= {limit}
    assert subjects(events) == names[::-1]
    assert events == await trail(world, team)


async def test_new_events_do_not_disturb_a_walk(world: World) -> None:
    team = await world.team()
    await open_tickets(world, team, "one", "two", "three")
    fetch = partial(world.facade.audit.list, tenant_id=team.tenant_id, caller_user_id=team.owner, limit=2)
    async with world.reading() as session:
        first = await fetch(session)
        await open_tickets(world, team, "four")
        second = await fetch(session, cursor=first.next_cursor)
    assert subjects(first.value.events) == ["three", "two"]
    assert subjects(second.value.events) == ["one"]


async def test_filters(world: World) -> None:
    team, start = await world.team(), world.clock.now
    for subject in ("one", "two", "three"):
        world.clock.advance(minutes=1)
        await open_tickets(world, team, subject)
    minutes = [start + timedelta(minutes=number) for number in range(4)]
    assert subjects(await trail(world, team, since=minutes[2])) == ["three", "two"]
    assert subjects(await trail(world, team, since=minutes[2].astimezone(TOKYO))) == ["three", "two"]
    assert subjects(await trail(world, team, until=minutes[2])) == ["one"]
    assert subjects(await trail(world, team, since=minutes[2], until=minutes[3])) == ["two"]
    assert subjects(await trail(world, team, actor=team.viewer)) == ["three", "two", "one"]
    assert len(await trail(world, team, actor=team.viewer)) == 5, "and two events of joining"
    assert len(await trail(world, team, type="member.joined")) == 4
    assert len(await trail(world, team, type="member.joined", actor=team.viewer)) == 1
    for nothing in (
        {"actor": NOBODY},
        {"type": "tenant.invoice_recorded"},
        {"since": minutes[3] + timedelta(seconds=1)},
        {"until": start},
        {"since": minutes[3], "until": minutes[2]},
        {"type": "ticket.created", "actor": team.admin},
    ):
        assert await trail(world, team, **nothing) == []


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_filtered_walk(world: World, limit: int) -> None:
    team = await world.team()
    await open_tickets(world, team, "one", "two", "three")
    wanted: dict[str, Any] = {"type": "ticket.created", "actor": team.viewer, "since": world.clock.now}
    async with world.reading() as session:
        walked = await walk(
            partial(world.facade.audit.list, session, team.tenant_id, team.owner, limit=limit, **wanted)
        )
    assert subjects([event for page in walked for event in page.events]) == ["three", "two", "one"]


def forged(tenant_id: str, row_id: str) -> str:
    scope = CursorScope("audit", tenant_id, actor=None, type=None, since=None, until=None)
    at = datetime.fromisoformat("2026-03-14T10:00:00+00:00")
    cursor = scope.next_cursor(UncountedSlice([None], SortKey(at, row_id), has_more=True))
    assert cursor is not None
    return cursor


async def test_a_cursor_is_a_position(world: World) -> None:
    team = await world.team()
    assert await trail(world, team, cursor=forged(team.tenant_id, "9" * 18)) != []
    for row_id in ("x", "-1", "1.5", " 1", "1\n", "٣", "9" * 19):
        with pytest.raises(InvalidInputError, match="cursor"):
            await trail(world, team, cursor=forged(team.tenant_id, row_id))


async def test_a_cursor_belongs_to_its_list(world: World) -> None:
    team, other = await world.team(), await world.team()
    async with world.reading() as session:
        page = await world.facade.audit.list(session, team.tenant_id, team.owner, limit=1)
    for place, wanted in ((other, {}), (team, {"type": "member.joined"}), (team, {"actor": team.owner})):
        with pytest.raises(InvalidInputError, match="cursor"):
            await trail(world, place, cursor=page.next_cursor, **wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "ticket.lost"},
        {"type": ""},
        {"actor": ""},
        {"actor": "a\x00"},
        {"since": datetime(2026, 3, 14)},  # noqa: DTZ001 - refused for that
        {"until": datetime(2026, 3, 14)},  # noqa: DTZ001 - refused for that
        {"since": datetime.min.replace(tzinfo=TOKYO)},
        {"limit": 0},
        {"limit": 101},
        {"cursor": "x"},
    ],
)
async def test_bad_input_is_refused(world: World, wanted: dict[str, Any]) -> None:
    team = await world.team()
    [name] = wanted
    with pytest.raises(InvalidInputError, match=name):
        await trail(world, team, **wanted)


async def test_only_owners_and_admins_read_it(world: World) -> None:
    team, (other_id, stranger) = await world.team(), await world.tenant()
    audit = world.facade.audit
    async with world.reading() as session:
        for reader in (team.owner, team.admin):
            assert (await audit.list(session, team.tenant_id, reader)).value.events
        for caller in (team.member, team.viewer):
            assert (await refusal(audit.list(session, team.tenant_id, caller)))[0] is ForbiddenError
        for tenant_id, caller in ((team.tenant_id, stranger), (other_id, team.owner), (NOWHERE, stranger)):
            assert (await refusal(audit.list(session, tenant_id, caller)))[0] is NotAMemberError


async def test_other_tenants_are_never_shown(world: World) -> None:
    """Not even a tenant with the same members."""
    team = await world.team()
    other_id, _ = await world.tenant(team.owner)
    await world.join(other_id, team.owner, user_id=team.viewer, email=await email_of(world, team))
    events = await trail(world, team)
    assert {event.tenant_id for event in events} == {team.tenant_id}
    async with world.reading() as session:
        others = (await world.facade.audit.list(session, other_id, team.owner)).value.events
    assert len(others) == 5
    assert {event.tenant_id for event in others} == {other_id}


async def test_the_trail_names_people_invitations_and_tickets(world: World) -> None:
    team = await world.team()
    other_id, outsider = await world.tenant()
    await open_tickets(world, team, "Help")
    async with world.transaction() as session:
        await world.engines.profiles.update(session, team.owner, display_name="Ada")
        await world.engines.members.remove(session, team.tenant_id, team.owner, team.member)
        invited = await world.facade.invitations.invite(
            session, team.tenant_id, team.owner, email="eve@example.com"
        )
    events = await trail(world, team)
    async with world.reading() as session:
        names = await world.facade.audit.names(session, team.tenant_id, events)
        elsewhere = await world.facade.audit.names(session, other_id, events)
        nothing = await world.facade.audit.names(session, team.tenant_id, [])
    assert names.people[team.owner] == "Ada"
    assert names.people[team.viewer] == await email_of(world, team)
    assert team.member not in names.people, "the address of one who has left is not told"
    assert names.invitations[invited.id] == "eve@example.com"
    assert list(names.tickets.values()) == ["Help"]
    assert elsewhere == EventNames({team.owner: "Ada"}, {}, {})
    assert nothing == EventNames({}, {}, {})
    assert outsider not in names.people


async def email_of(world: World, team: Team) -> str:
    return (await world.accounts.get_account_profile(team.viewer)).email


async def test_a_suspended_tenants_trail_is_readable(world: World) -> None:
    team = await world.team()
    await world.suspend(team.tenant_id)
    assert (await trail(world, team, limit=1))[0].data["status"] == "suspended"


async def test_the_trail_still_names_a_deleted_account(world: World) -> None:
    team = await world.team()
    await world.deactivate(team.viewer, deleted=True)
    assert len(await trail(world, team, actor=team.viewer)) == 2
