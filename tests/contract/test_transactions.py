"""The caller's transaction: nothing commits it, a rollback takes everything, a refusal leaves it usable."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from support.world import NOBODY, Team, World, outcome

from hoc.cus.account.L5_engines.accounts_facade import (
    AcceptInvitationResult,
    AccountsErrorResult,
    InvitationResult,
)
from hoc.cus.account.L5_schemas.errors import ConflictError, LastOwnerError, LimitExceededError

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scene:
    """A tenant in which everything that can be changed is there."""

    world: World
    team: Team
    ticket_id: str
    pending: tuple[str, str]

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.team.everybody

    async def snapshot(self, session: Any) -> dict[str, Any]:
        return await self.world.snapshot(session, self.team.tenant_id, self.team.everybody)


@pytest.fixture
async def scene(world: World) -> Scene:
    team = await world.team()
    pending = await world.invite(team.tenant_id, team.owner)
    async with world.transaction() as session:
        ticket = await world.engines.support.create_ticket(
            session, team.tenant_id, team.owner, subject="S", description="D"
        )
        await world.engines.ownership.start(session, team.tenant_id, team.owner, team.member)
    return Scene(world, team, ticket.id, pending)


Operation = Callable[[Scene, Any], Awaitable[object]]
Step = Callable[[Any], Awaitable[object]]

CHANGES: dict[str, Operation] = {
    "update_user_role": lambda it, s: it.world.facade.update_user_role(
        s, it.team.tenant_id, it.team.owner, it.team.member, "viewer"
    ),
    "remove_user": lambda it, s: it.world.facade.remove_user(
        s, it.team.tenant_id, it.team.owner, it.team.viewer
    ),
    "update_profile": lambda it, s: it.world.facade.update_profile(
        s, it.team.owner, display_name="Ada", timezone_str="UTC", preferences={"a": 1}
    ),
    "create_support_ticket": lambda it, s: it.world.facade.create_support_ticket(
        s, it.team.tenant_id, it.team.owner, subject="S", description="D"
    ),
    "invite_user": lambda it, s: it.world.facade.invite_user(
        s, it.team.tenant_id, it.team.owner, email=it.world.new_email()
    ),
    "accept_invitation": lambda it, s: it.world.facade.accept_invitation(s, *it.pending),
    "leave": lambda it, s: it.world.engines.members.leave(s, it.team.tenant_id, it.team.viewer),
    "create project": lambda it, s: it.world.engines.projects.create(s, it.team.owner, name="Another"),
    "change_status": lambda it, s: it.world.engines.projects.change_status(s, it.team.tenant_id, "suspended"),
    "advance_onboarding": lambda it, s: it.world.engines.projects.advance_onboarding(s, it.team.tenant_id, 2),
    "override_quotas": lambda it, s: it.world.engines.projects.override_quotas(
        s, it.team.tenant_id, max_workers=9
    ),
    "accept transfer": lambda it, s: it.world.engines.ownership.accept(s, it.team.tenant_id, it.team.member),
    "cancel transfer": lambda it, s: it.world.engines.ownership.cancel(s, it.team.tenant_id, it.team.owner),
    "set_subscription": lambda it, s: it.world.engines.billing.set_subscription(
        s, it.team.tenant_id, plan="pro", current_period_start=MARCH, current_period_end=APRIL
    ),
    "record_invoice": lambda it, s: it.world.engines.billing.record_invoice(
        s,
        it.team.tenant_id,
        invoice_id="in_1",
        period_start=MARCH,
        period_end=APRIL,
        amount_cents=1,
        status="paid",
        description="March",
    ),
    "record usage": lambda it, s: it.world.engines.usage.record(s, it.team.tenant_id, runs=1, tokens=1),
    "change_ticket_status": lambda it, s: it.world.engines.support.change_ticket_status(
        s, it.team.tenant_id, it.ticket_id, status="resolved", resolution="Done"
    ),
    "resend": lambda it, s: it.world.engines.invitations.resend(
        s, it.team.tenant_id, it.team.admin, it.pending[0]
    ),
    "revoke": lambda it, s: it.world.engines.invitations.revoke(
        s, it.team.tenant_id, it.team.owner, it.pending[0]
    ),
}


async def _invite_again(scene: Scene, session: Any) -> object:
    listed = await scene.world.engines.invitations.list(
        session, scene.team.tenant_id, scene.team.owner, status="pending"
    )
    return await scene.world.facade.invite_user(
        session, scene.team.tenant_id, scene.team.owner, email=listed.value.invitations[0].email
    )


REFUSALS: dict[str, Operation] = {
    "own role": lambda it, s: it.world.facade.update_user_role(
        s, it.team.tenant_id, it.team.owner, it.team.owner, "viewer"
    ),
    "role by an admin": lambda it, s: it.world.facade.update_user_role(
        s, it.team.tenant_id, it.team.admin, it.team.member, "viewer"
    ),
    "role of nobody": lambda it, s: it.world.facade.update_user_role(
        s, it.team.tenant_id, it.team.owner, NOBODY, "viewer"
    ),
    "unknown role": lambda it, s: it.world.facade.update_user_role(
        s, it.team.tenant_id, it.team.owner, it.team.member, "king"
    ),
    "owner removed by an admin": lambda it, s: it.world.facade.remove_user(
        s, it.team.tenant_id, it.team.admin, it.team.owner
    ),
    "profile of nobody": lambda it, s: it.world.facade.get_profile(s, it.team.tenant_id, NOBODY),
    "profile with a bad field": lambda it, s: it.world.facade.update_profile(
        s, it.team.owner, display_name="Ada", timezone_str="Nowhere"
    ),
    "preferences too large": lambda it, s: it.world.facade.update_profile(
        s, it.team.owner, display_name="Ada", preferences={"a": "x" * 16_384}
    ),
    "billing of nowhere": lambda it, s: it.world.facade.get_billing_summary(s, "ten_none"),
    "invoices of nowhere": lambda it, s: it.world.facade.get_billing_invoices(s, "ten_none"),
    "invitation pending": _invite_again,
    "invitation by a viewer": lambda it, s: it.world.facade.invite_user(
        s, it.team.tenant_id, it.team.viewer, email=it.world.new_email()
    ),
    "invitation above one's own": lambda it, s: it.world.facade.invite_user(
        s, it.team.tenant_id, it.team.admin, email=it.world.new_email(), role="owner"
    ),
    "invitations listed by a member": lambda it, s: it.world.facade.list_invitations(
        s, it.team.tenant_id, it.team.member
    ),
    "accepted with a wrong token": lambda it, s: it.world.facade.accept_invitation(
        s, it.pending[0], f"{it.team.tenant_id}.guess"
    ),
    "accepted by somebody else": lambda it, s: it.world.facade.accept_invitation(
        s, *it.pending, caller_user_id=it.team.owner
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_rollback_takes_everything(scene: Scene, change: str) -> None:
    async with scene.world.reading() as session:
        before = await scene.snapshot(session)
    async with scene.world.session() as session:
        result = await CHANGES[change](scene, session)
        assert not isinstance(result, AccountsErrorResult)
        assert await scene.snapshot(session) != before, "the caller sees the change"
        async with scene.world.reading() as other:
            assert await scene.snapshot(other) == before, "nobody else does yet"
        await session.rollback()
        assert await scene.snapshot(session) == before
        await session.commit()
    async with scene.world.reading() as session:
        assert await scene.snapshot(session) == before


@pytest.mark.parametrize("change", CHANGES)
async def test_the_caller_commits(scene: Scene, change: str) -> None:
    async with scene.world.session() as session:
        await CHANGES[change](scene, session)
        changed = await scene.snapshot(session)
        await session.commit()
    async with scene.world.reading() as session:
        assert await scene.snapshot(session) == changed


@pytest.mark.parametrize("change", CHANGES)
async def test_an_exception_takes_everything(scene: Scene, change: str) -> None:
    async with scene.world.reading() as session:
        before = await scene.snapshot(session)

    async def change_and_fail() -> None:
        async with scene.world.transaction() as session:
            await CHANGES[change](scene, session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    async with scene.world.reading() as session:
        assert await scene.snapshot(session) == before


@pytest.mark.parametrize("attempt", REFUSALS)
async def test_a_refusal_changes_nothing_and_leaves_the_transaction_usable(
    scene: Scene, attempt: str
) -> None:
    async with scene.world.transaction() as session:
        before = await scene.snapshot(session)
        result = await REFUSALS[attempt](scene, session)
        if isinstance(result, AcceptInvitationResult):
            assert (result.success, result.tenant_id, result.role) == (False, None, None)
            assert result.message
        else:
            assert isinstance(result, AccountsErrorResult)
            assert result.status_code in {400, 403, 404, 409}
        assert await scene.snapshot(session) == before
        await scene.world.engines.projects.advance_onboarding(session, scene.team.tenant_id, 1)
    async with scene.world.reading() as session:
        after = await scene.snapshot(session)
    assert after.pop("project") != before.pop("project"), "what came after the refusal is committed"
    assert after == before


async def test_several_operations_are_one_transaction(world: World) -> None:
    """A caller who creates a project and invites in one go has both or neither."""
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


async def test_concurrent_usage_is_counted_once_each_and_no_further_than_the_quota(world: World) -> None:
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
    """What two operations answer when the second comes before the first is committed."""

    async def come_second() -> object:
        async with world.transaction() as session:
            return await outcome(second(session))

    async with world.transaction() as session:
        one = await outcome(first(session))
        other = asyncio.create_task(come_second())
        await asyncio.sleep(0.2)  # as far as it gets before it has to wait
    return one, await other


async def test_two_owners_who_leave_together_leave_one(world: World) -> None:
    tenant_id, first = await world.tenant()
    second = await world.join(tenant_id, first, "owner")
    leave = world.engines.members.leave
    left, refused = await overlapped(
        world, lambda s: leave(s, tenant_id, first), lambda s: leave(s, tenant_id, second)
    )
    assert left == {"message": "You have left the tenant", "user_id": first}
    assert refused == (LastOwnerError, "last_owner")


async def test_what_is_being_accepted_is_not_revoked(world: World) -> None:
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


async def test_concurrent_acceptances_are_one_membership_and_one_answer(world: World) -> None:
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
