"""The caller's transaction: no operation commits it, a rollback undoes all, a refusal leaves it usable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.event_scene import Operation, Scene, build_scene
from support.mutations import MUTATIONS, PREPARED
from support.world import NOBODY, World, outcome

from hoc.cus.account.L5_engines.accounts_facade import (
    AcceptInvitationResult,
    AccountsErrorResult,
    InvitationResult,
)
from hoc.cus.account.L5_schemas.errors import ConflictError, LastOwnerError, LimitExceededError
from hoc.cus.account.L5_schemas.results import MemberLeftResult


async def snapshot(scene: Scene, session: Any) -> dict[str, Any]:
    return await scene.world.snapshot(session, scene.tenant_id, scene.team.everybody)


@pytest.fixture
async def scene(world: World) -> Scene:
    return await build_scene(world)


@pytest.fixture
async def prepared(scene: Scene, change: str) -> Scene:
    """A scene in which the change is possible."""
    if change in PREPARED:
        async with scene.world.transaction() as session:
            await PREPARED[change](scene, session)
    return scene


Step = Callable[[Any], Awaitable[object]]

# What is asked of the sender of webhooks is read by the sender alone: test_webhooks.py.
UNSEEN = {"webhooks.send_test", "webhooks.send_again"}
each_change = pytest.mark.parametrize("change", [name for name in MUTATIONS if name not in UNSEEN])


async def _invite_again(scene: Scene, session: Any) -> object:
    listed = await scene.world.engines.invitations.list(
        session, scene.tenant_id, scene.team.owner, status="pending"
    )
    return await scene.world.facade.invite_user(
        session, scene.tenant_id, scene.team.owner, email=listed.value.invitations[0].email
    )


REFUSALS: dict[str, Operation] = {
    "own role": lambda it, s: it.facade.update_user_role(
        s, it.tenant_id, it.team.owner, it.team.owner, "viewer"
    ),
    "role by an admin": lambda it, s: it.facade.update_user_role(
        s, it.tenant_id, it.team.admin, it.team.member, "viewer"
    ),
    "role of nobody": lambda it, s: it.facade.update_user_role(
        s, it.tenant_id, it.team.owner, NOBODY, "viewer"
    ),
    "unknown role": lambda it, s: it.facade.update_user_role(
        s,
        it.tenant_id,
        it.team.owner,
        it.team.member,
        "king",  # type: ignore[arg-type]  # any text
    ),
    "owner removed by an admin": lambda it, s: it.facade.remove_user(
        s, it.tenant_id, it.team.admin, it.team.owner
    ),
    "profile of nobody": lambda it, s: it.facade.get_profile(s, it.tenant_id, NOBODY),
    "profile with a bad field": lambda it, s: it.facade.update_profile(
        s, it.team.owner, display_name="Ada", timezone_str="Nowhere"
    ),
    "preferences too large": lambda it, s: it.facade.update_profile(
        s, it.team.owner, display_name="Ada", preferences={"a": "x" * 16_384}
    ),
    "billing of nowhere": lambda it, s: it.facade.get_billing_summary(s, "ten_none"),
    "invoices of nowhere": lambda it, s: it.facade.get_billing_invoices(s, "ten_none"),
    "invitation pending": _invite_again,
    "invitation by a viewer": lambda it, s: it.facade.invite_user(
        s, it.tenant_id, it.team.viewer, email=it.world.new_email()
    ),
    "invitation above one's own": lambda it, s: it.facade.invite_user(
        s, it.tenant_id, it.team.admin, email=it.world.new_email(), role="owner"
    ),
    "invitations listed by a member": lambda it, s: it.facade.list_invitations(
        s, it.tenant_id, it.team.member
    ),
    "accepted with a wrong token": lambda it, s: it.facade.accept_invitation(
        s, it.invitation_id, f"{it.tenant_id}.guess"
    ),
    "accepted by somebody else": lambda it, s: it.facade.accept_invitation(
        s, it.invitation_id, it.token, caller_user_id=it.team.owner
    ),
}


@each_change
async def test_a_rollback_undoes_every_change(prepared: Scene, change: str) -> None:
    async with prepared.world.reading() as session:
        before = await snapshot(prepared, session)
    async with prepared.world.session() as session:
        result = await MUTATIONS[change](prepared, session)
        assert not isinstance(result, AccountsErrorResult)
        assert await snapshot(prepared, session) != before, "the caller reads the change"
        async with prepared.world.reading() as other:
            assert await snapshot(prepared, other) == before, "no other session does yet"
        await session.rollback()
        assert await snapshot(prepared, session) == before
        await session.commit()
    async with prepared.world.reading() as session:
        assert await snapshot(prepared, session) == before


@each_change
async def test_the_caller_commits(prepared: Scene, change: str) -> None:
    async with prepared.world.session() as session:
        await MUTATIONS[change](prepared, session)
        changed = await snapshot(prepared, session)
        await session.commit()
    async with prepared.world.reading() as session:
        assert await snapshot(prepared, session) == changed


@each_change
async def test_an_exception_undoes_every_change(prepared: Scene, change: str) -> None:
    async with prepared.world.reading() as session:
        before = await snapshot(prepared, session)

    async def change_and_fail() -> None:
        async with prepared.world.transaction() as session:
            await MUTATIONS[change](prepared, session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    async with prepared.world.reading() as session:
        assert await snapshot(prepared, session) == before


@pytest.mark.parametrize("attempt", REFUSALS)
async def test_a_refusal_leaves_the_transaction_unchanged_and_usable(scene: Scene, attempt: str) -> None:
    async with scene.world.transaction() as session:
        before = await snapshot(scene, session)
        result = await REFUSALS[attempt](scene, session)
        if isinstance(result, AcceptInvitationResult):
            assert (result.success, result.tenant_id, result.role) == (False, None, None)
            assert result.message
        else:
            assert isinstance(result, AccountsErrorResult)
            assert result.status_code in {400, 403, 404, 409}
        assert await snapshot(scene, session) == before
        await scene.world.engines.projects.advance_onboarding(session, scene.tenant_id, 1)
    async with scene.world.reading() as session:
        after = await snapshot(scene, session)
    assert after.pop("project") != before.pop("project"), "the change after the refusal is committed"
    assert after == before


async def test_several_operations_are_one_transaction(world: World) -> None:
    """A caller who creates a project and invites in one transaction has both or neither."""
    owner, email = await world.add_user(), world.new_email()
    for commits in (False, True):
        async with world.session() as session:
            created = await world.engines.projects.create(session, owner, name="Together")
            tenant_id = created.value.project_id
            await world.facade.invite_user(session, tenant_id, owner, email=email)
            await (session.commit() if commits else session.rollback())
        async with world.reading() as session:
            project = await world.facade.get_project_detail(session, tenant_id, tenant_id)
            assert (project is not None) is commits


async def test_a_session_goes_on_after_its_commit(world: World) -> None:
    tenant_id, owner = await world.tenant()
    async with world.session() as session:
        await world.facade.update_profile(session, owner, display_name="Ada")
        await session.commit()
        await world.facade.update_profile(session, owner, display_name="Bob")
        await session.rollback()
        profile = await world.engines.profiles.get(session, tenant_id, owner)
        assert profile.value.name == "Ada"


async def test_concurrent_usage_is_exact_and_within_the_quota(world: World) -> None:
    tenant_id, _ = await world.tenant()

    async def record() -> object:
        async with world.transaction() as session:
            return await outcome(world.engines.usage.record(session, tenant_id, runs=20))

    results = await asyncio.gather(*(record() for _ in range(8)))
    assert results.count((LimitExceededError, "quota_exceeded")) == 3
    async with world.reading() as session:
        project = await world.facade.get_project_detail(session, tenant_id, tenant_id)
    assert project is not None
    assert project.runs_today == 100


async def test_concurrent_preferences_all_survive(world: World) -> None:
    _, owner = await world.tenant()

    async def update(key: str) -> None:
        async with world.transaction() as session:
            await world.engines.profiles.update(session, owner, preferences={key: 1, "all": {key: 1}})

    keys = [f"key-{number}" for number in range(8)]
    await asyncio.gather(*map(update, keys))
    async with world.transaction() as session:
        profile = await world.engines.profiles.update(session, owner)
    assert profile.value.preferences == dict.fromkeys(keys, 1) | {"all": dict.fromkeys(keys, 1)}
    assert profile.version == 9


async def overlapped(world: World, first: Step, second: Step) -> tuple[object, object]:
    """The results of two operations, the second of which starts before the first is committed."""

    async def come_second() -> object:
        async with world.transaction() as session:
            return await outcome(second(session))

    async with world.transaction() as session:
        one = await outcome(first(session))
        other = asyncio.create_task(come_second())
        await asyncio.sleep(0.2)  # until it has to wait for the first
    return one, await other


async def test_two_owners_who_leave_together_leave_one(world: World) -> None:
    tenant_id, first = await world.tenant()
    second = await world.join(tenant_id, first, "owner")
    leave = world.engines.members.leave
    left, refused = await overlapped(
        world, lambda s: leave(s, tenant_id, first), lambda s: leave(s, tenant_id, second)
    )
    assert left == MemberLeftResult("You have left the tenant", first)
    assert refused == (LastOwnerError, "last_owner")


async def test_an_invitation_being_accepted_is_not_revoked(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    invitations = world.engines.invitations
    acceptances = world.engines.acceptances
    accepted, refused = await overlapped(
        world,
        lambda s: acceptances.accept(s, invitation_id, token),
        lambda s: invitations.revoke(s, tenant_id, owner, invitation_id),
    )
    assert isinstance(accepted, AcceptInvitationResult)
    assert refused == (ConflictError, "conflict")
    async with world.reading() as session:
        listed = await invitations.list(session, tenant_id, owner, status="accepted")
    assert listed.value.total == 1


async def test_concurrent_acceptances_are_one_membership(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)

    async def accept() -> AcceptInvitationResult:
        async with world.transaction() as session:
            return await world.engines.acceptances.accept(session, invitation_id, token)

    answers = await asyncio.gather(*(accept() for _ in range(8)))
    assert answers == [answers[0]] * 8
    async with world.reading() as session:
        assert (await world.facade.list_users(session, tenant_id)).total == 2


async def test_concurrent_invitations_of_one_address_are_one(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()

    async def invite() -> object:
        async with world.transaction() as session:
            return await outcome(world.engines.invitations.invite(session, tenant_id, owner, email=email))

    results = await asyncio.gather(*(invite() for _ in range(8)))
    assert sum(isinstance(result, InvitationResult) for result in results) == 1
    assert results.count((ConflictError, "already_pending")) == 7
    async with world.reading() as session:
        listed = await world.engines.invitations.list(session, tenant_id, owner)
    assert listed.value.total == 1
