"""Members: lists, details, role changes, removal, leaving, and that a tenant always has an owner."""

from functools import partial

import pytest
from support.roles import EVERY_PAIR, RIGHTS, ROLES
from support.world import NOBODY, NOWHERE, World, refusal, walk

from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvalidInputError,
    LastOwnerError,
    NotAMemberError,
    NotFoundError,
    OwnMembershipError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.results import MemberLeftResult


async def pairs_of(world: World) -> tuple[str, dict[str, str], dict[str, str]]:
    """A tenant with two members of each role: a caller and a target. Returns its id, and both by role."""
    team = await world.team()
    callers = dict(zip(ROLES, team.everybody, strict=True))
    targets = {role: await world.join(team.tenant_id, team.owner, role) for role in ROLES}
    return team.tenant_id, callers, targets


async def test_which_roles_may_change_which(world: World) -> None:
    tenant_id, callers, targets = await pairs_of(world)
    for caller, target in EVERY_PAIR:
        for new_role in ROLES:
            async with world.session() as session:
                change = world.engines.members.change_role(
                    session,
                    tenant_id,
                    callers[caller],
                    targets[target],
                    new_role,  # type: ignore[arg-type]  # any text
                )
                if target in RIGHTS[caller].may_change:
                    changed = await change
                    assert (changed.user_id, changed.role) == (targets[target], new_role)
                else:
                    with pytest.raises(ForbiddenError):
                        await change
                await session.rollback()
    assert [await world.role_of(tenant_id, targets[role]) for role in ROLES] == list(ROLES)


async def test_which_roles_may_remove_which(world: World) -> None:
    tenant_id, callers, targets = await pairs_of(world)
    for caller, target in EVERY_PAIR:
        async with world.session() as session:
            removal = world.engines.members.remove(session, tenant_id, callers[caller], targets[target])
            if target in RIGHTS[caller].may_remove:
                assert await removal == MemberLeftResult("User removed from tenant", targets[target])
                assert await world.engines.members.get_user(session, tenant_id, targets[target]) is None
            else:
                with pytest.raises(ForbiddenError):
                    await removal
            await session.rollback()


async def test_nobody_changes_or_removes_themselves(world: World) -> None:
    team = await world.team()
    members = world.engines.members
    async with world.transaction() as session:
        for user_id in team.everybody:
            with pytest.raises(OwnMembershipError):
                await members.change_role(session, team.tenant_id, user_id, user_id, "viewer")
            with pytest.raises(OwnMembershipError):
                await members.remove(session, team.tenant_id, user_id, user_id)


async def test_the_last_owner_stays(world: World) -> None:
    team = await world.team()
    members = world.engines.members
    async with world.transaction() as session:
        with pytest.raises(LastOwnerError):
            await members.leave(session, team.tenant_id, team.owner)
    second = await world.join(team.tenant_id, team.owner, "owner")
    async with world.transaction() as session:
        await members.leave(session, team.tenant_id, team.owner)
        with pytest.raises(LastOwnerError):
            await members.leave(session, team.tenant_id, second)
    assert await world.role_of(team.tenant_id, team.owner) is None
    assert await world.role_of(team.tenant_id, second) == "owner"


async def test_an_inactive_owner_does_not_count(world: World) -> None:
    team = await world.team()
    second = await world.join(team.tenant_id, team.owner, "owner")
    await world.deactivate(second)
    async with world.transaction() as session:
        with pytest.raises(LastOwnerError):
            await world.engines.members.leave(session, team.tenant_id, team.owner)


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
async def test_everybody_else_may_leave(world: World, role: str) -> None:
    team = await world.team()
    user_id = getattr(team, role)
    async with world.transaction() as session:
        left = await world.engines.members.leave(session, team.tenant_id, user_id)
        assert left.user_id == user_id
        with pytest.raises(NotAMemberError):
            await world.engines.members.leave(session, team.tenant_id, user_id)
        assert (await world.facade.list_users(session, team.tenant_id)).total == 3


async def test_a_role_change_counts_at_once_and_in_every_list(world: World) -> None:
    team = await world.team()
    facade = world.facade
    async with world.transaction() as session:
        await world.engines.members.change_role(session, team.tenant_id, team.owner, team.admin, "viewer")
    async with world.transaction() as session:
        admins = await facade.list_users(session, team.tenant_id, role="admin")
        viewers = await facade.list_users(session, team.tenant_id, role="viewer")
        assert (admins.items, admins.total) == ([], 0)
        assert {item.user_id for item in viewers.items} == {team.admin, team.viewer}
        assert viewers.total == 2
        with pytest.raises(ForbiddenError):
            await world.engines.members.remove(session, team.tenant_id, team.admin, team.member)
        everybody = await facade.list_tenant_users(session, team.tenant_id)
        assert {user.user_id: user.role for user in everybody.users}[team.admin] == "viewer"
        memberships = await world.engines.members.list_memberships(session, team.admin)
        assert [membership.role for membership in memberships.value.memberships] == ["viewer"]


async def test_the_same_role_changes_nothing(world: World) -> None:
    team = await world.team()
    members = world.engines.members
    async with world.transaction() as session:
        before = await members.get_user(session, team.tenant_id, team.member)
        changed = await members.change_role(session, team.tenant_id, team.owner, team.member, "member")
        assert changed.role == "member"
        assert await members.get_user(session, team.tenant_id, team.member) == before
        world.clock.advance(minutes=1)
        await members.change_role(session, team.tenant_id, team.owner, team.member, "admin")
        after = await members.get_user(session, team.tenant_id, team.member)
    assert before is not None
    assert after is not None
    assert after.version == before.version + 1
    assert after.value.updated_at == world.clock.now


async def test_a_stale_version_is_refused(world: World) -> None:
    team = await world.team()
    members = world.engines.members
    async with world.transaction() as session:
        current = await members.get_user(session, team.tenant_id, team.member)
        assert current is not None
        ids = (team.tenant_id, team.owner, team.member)
        with pytest.raises(StaleVersionError):
            await members.change_role(session, *ids, "viewer", expected_version=current.version + 1)
        await members.change_role(session, *ids, "viewer", expected_version=current.version)
        with pytest.raises(StaleVersionError):
            await members.change_role(session, *ids, "admin", expected_version=current.version)
        with pytest.raises(StaleVersionError):
            await members.remove(session, *ids, expected_version=current.version)
        await members.remove(session, *ids, expected_version=current.version + 1)


async def test_an_unknown_role_is_refused(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        for role in ("OWNER", "superuser", ""):
            with pytest.raises(InvalidInputError):
                await world.engines.members.change_role(
                    session,
                    team.tenant_id,
                    team.owner,
                    team.member,
                    role,  # type: ignore[arg-type]  # any text
                )
            with pytest.raises(InvalidInputError):
                await world.facade.list_users(session, team.tenant_id, role=role)  # type: ignore[arg-type]  # any text
        for status in ("ACTIVE", "deleted", ""):
            with pytest.raises(InvalidInputError):
                await world.facade.list_users(session, team.tenant_id, status=status)  # type: ignore[arg-type]  # any text


async def test_a_foreign_user_is_like_none(world: World) -> None:
    team, other = await world.team(), await world.team()
    members = world.engines.members
    async with world.transaction() as session:
        for user_id in (other.member, NOBODY):
            assert await world.facade.get_user_detail(session, team.tenant_id, user_id) is None
        assert await world.facade.get_user_detail(session, NOWHERE, team.member) is None
        foreign, none = [
            [
                await refusal(members.change_role(session, team.tenant_id, team.owner, user_id, "viewer")),
                await refusal(members.remove(session, team.tenant_id, team.owner, user_id)),
                await refusal(world.engines.ownership.start(session, team.tenant_id, team.owner, user_id)),
                await refusal(world.engines.profiles.get(session, team.tenant_id, user_id)),
            ]
            for user_id in (other.member, NOBODY)
        ]
        assert foreign == none
        assert {answer[0] for answer in foreign} == {NotFoundError}
    assert await world.role_of(other.tenant_id, other.member) == "member"


async def test_lists_have_a_tenants_members_in_the_order_of_joining(world: World) -> None:
    tenant_id, owner = await world.tenant()
    await world.team()
    joined = [owner]
    for role in ("viewer", "admin", "member"):
        world.clock.advance(seconds=1)
        joined.append(await world.join(tenant_id, owner, role))
    async with world.reading() as session:
        users = await world.facade.list_users(session, tenant_id)
        tenant_users = await world.facade.list_tenant_users(session, tenant_id)
        page = await world.facade.list_users(session, tenant_id, limit=2, offset=1)
        nowhere = await world.facade.list_users(session, NOWHERE)
    assert [item.user_id for item in users.items] == joined
    assert [user.user_id for user in tenant_users.users] == joined
    assert (users.total, users.has_more, users.filters_applied) == (4, False, {"tenant_id": tenant_id})
    assert tenant_users.total == 4
    assert [item.user_id for item in page.items] == joined[1:3]
    assert (page.total, page.has_more) == (4, True)
    assert (nowhere.items, nowhere.total, nowhere.has_more) == ([], 0, False)


async def test_totals_and_filters_agree(world: World) -> None:
    team = await world.team()
    extra = await world.join(team.tenant_id, team.owner, "member")
    await world.deactivate(extra)
    async with world.reading() as session:
        members = await world.facade.list_users(session, team.tenant_id, role="member")
        active = await world.facade.list_users(session, team.tenant_id, role="member", status="active")
        inactive = await world.facade.list_users(session, team.tenant_id, status="inactive")
        inactive_admins = await world.facade.list_users(
            session, team.tenant_id, role="admin", status="inactive"
        )
    assert [item.user_id for item in members.items] == [team.member]
    assert members.total == 1
    assert active.items == members.items
    assert active.filters_applied == {"tenant_id": team.tenant_id, "role": "member", "status": "active"}
    assert [(item.user_id, item.status) for item in inactive.items] == [(extra, "inactive")]
    assert inactive.total == 1
    assert (inactive_admins.items, inactive_admins.total) == ([], 0)


async def test_a_deactivated_members_rights_end_at_once(world: World) -> None:
    team = await world.team()
    await world.deactivate(team.admin)
    await world.deactivate(team.viewer, deleted=True)
    async with world.transaction() as session:
        with pytest.raises(NotAMemberError):
            await world.engines.members.remove(session, team.tenant_id, team.admin, team.member)
        with pytest.raises(NotAMemberError):
            await world.engines.invitations.list(session, team.tenant_id, team.admin)
        assert await world.facade.get_user_detail(session, team.tenant_id, team.admin) is None
        memberships = await world.engines.members.list_memberships(session, team.admin)
        assert (memberships.value.memberships, memberships.value.total) == ([], 0)
        users = await world.facade.list_tenant_users(session, team.tenant_id)
        assert {user.user_id for user in users.users} == {team.owner, team.member}
        assert users.total == 2
        inactive = await world.facade.list_users(session, team.tenant_id, status="inactive")
        assert [item.user_id for item in inactive.items] == [team.admin], "no list has deleted accounts"
        assert inactive.total == 1


async def test_a_removed_member_is_gone_and_can_come_back(world: World) -> None:
    team = await world.team()
    async with world.reading() as session:
        found = await world.facade.get_user_detail(session, team.tenant_id, team.admin)
    assert found is not None
    async with world.transaction() as session:
        await world.engines.members.remove(session, team.tenant_id, team.owner, team.admin)
        with pytest.raises(NotAMemberError):
            await world.engines.members.remove(session, team.tenant_id, team.admin, team.member)
        with pytest.raises(NotFoundError):
            await world.engines.members.remove(session, team.tenant_id, team.owner, team.admin)
    await world.join(team.tenant_id, team.owner, "viewer", user_id=team.admin, email=found.email)
    assert await world.role_of(team.tenant_id, team.admin) == "viewer"
    async with world.reading() as session:
        assert (await world.facade.list_users(session, team.tenant_id)).total == 4


async def test_details_say_what_a_role_can(world: World) -> None:
    team = await world.team()
    expected = {
        team.owner: (True, True, True),
        team.admin: (True, True, True),
        team.member: (False, True, True),
        team.viewer: (False, False, True),
    }
    async with world.reading() as session:
        for user_id, abilities in expected.items():
            found = await world.facade.get_user_detail(session, team.tenant_id, user_id)
            assert found is not None
            assert (found.can_manage_keys, found.can_run_workers, found.can_view_runs) == abilities
            assert (found.user_id, found.status, found.email_verified) == (user_id, "active", True)
            assert found.membership_created_at == found.created_at == world.clock.now
            assert found.invited_by == (None if user_id == team.owner else team.owner)


async def test_memberships_are_listed_across_tenants(world: World) -> None:
    user_id = await world.add_user()
    mine = [(await world.tenant(user_id))[0]]
    world.clock.advance(seconds=1)
    mine.append((await world.tenant(user_id))[0])
    await world.suspend(mine[1])
    await world.tenant()
    async with world.reading() as session:
        found = (await world.engines.members.list_memberships(session, user_id)).value
        nobody = (await world.engines.members.list_memberships(session, NOBODY)).value
    assert [(item.tenant_id, item.tenant_status, item.role) for item in found.memberships] == [
        (mine[0], "active", "owner"),
        (mine[1], "suspended", "owner"),
    ]
    assert found.total == 2
    assert (nobody.memberships, nobody.total) == ([], 0)


async def test_members_who_joined_at_once_are_each_walked_once(world: World) -> None:
    team = await world.team()
    expected = {*team.everybody, *[await world.join(team.tenant_id, team.owner) for _ in range(3)]}
    members = world.engines.members
    async with world.reading() as session:
        for limit in (1, 2, 3, 7, 8):
            users = await walk(partial(members.list_users, session, team.tenant_id, limit=limit))
            walked = [item.user_id for page in users for item in page.items]
            assert len(walked) == 7
            assert set(walked) == expected
            assert [page.total for page in users] == [7] * len(users)
            assert [page.has_more for page in users] == [True] * (len(users) - 1) + [False]
            everybody = await walk(partial(members.list_tenant_users, session, team.tenant_id, limit=limit))
            assert [user.user_id for part in everybody for user in part.users] == walked
