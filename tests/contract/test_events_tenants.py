"""Every change of a tenant has one event with all its data; no change and a rollback have none."""

from typing import Any

import orjson
import pytest
from support.event_cases_domains import DOMAIN_CASES
from support.event_cases_people import PEOPLE_CASES
from support.event_cases_scim import SCIM_CASES
from support.event_cases_tenant import TENANT_CASES
from support.event_cases_webhooks import WEBHOOK_CASES
from support.event_scene import Case, Operation, Scene, build_scene
from support.events import parsed, types
from support.world import NOBODY, NOWHERE, World, outcome, refusal

from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_schemas.events import (
    EVENTS,
    MemberRoleChangedEventData,
    TenantQuotasChangedEventData,
)
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.values import Role

CASES = TENANT_CASES | PEOPLE_CASES | DOMAIN_CASES | SCIM_CASES | WEBHOOK_CASES

each_case = pytest.mark.parametrize(("kind", "case"), CASES.items(), ids=CASES)


@pytest.fixture
async def scene(world: World) -> Scene:
    return await build_scene(world)


async def events_of(scene: Scene) -> list[EventResult]:
    """The events of the tenant, and of its owner in others."""
    of_tenant = await scene.world.events(tenant_id=scene.tenant_id)
    of_owner = await scene.world.events(user_id=scene.team.owner)
    return of_tenant + [event for event in of_owner if event.tenant_id != scene.tenant_id]


async def events_since(scene: Scene, before: list[EventResult]) -> list[EventResult]:
    return [event for event in await events_of(scene) if event not in before]


def test_there_is_a_case_of_every_event() -> None:
    """But for the erasure, which changes the events before it: `test_erasure.py` has its cases."""
    assert CASES.keys() == {name for name in EVENTS if not name.startswith("user.")} - {"tenant.erased"}


@each_case
async def test_a_change_has_one_event_and_its_repetition_none(scene: Scene, kind: str, case: Case) -> None:
    before = await events_of(scene)
    async with scene.world.session() as session:
        made = await case.do(scene, session)
        assert await events_since(scene, before) == [], "not before the commit"
        await session.commit()
    new = await events_since(scene, before)
    assert types(new) == sorted([kind, *case.beside])
    [event] = [event for event in new if event.type == kind]
    assert parsed(event) == case.event(scene, made)
    after = await events_of(scene)
    scene.world.clock.advance(minutes=1)
    async with scene.world.transaction() as session:
        await outcome((case.again or case.do)(scene, session))
    assert await events_of(scene) == after


@each_case
async def test_a_rollback_removes_the_event(scene: Scene, kind: Any, case: Case) -> None:
    before = await events_of(scene)
    async with scene.world.session() as session:
        await case.do(scene, session)
        await session.rollback()
        await session.commit()
    assert await events_of(scene) == before
    async with scene.world.transaction() as session:
        await case.do(scene, session)
    assert kind in types(await events_since(scene, before)), "the rolled back operation left nothing"


REFUSED: dict[str, Operation] = {
    "a project of nobody": lambda it, s: it.facade.projects.create(s, NOBODY, name="No"),
    "a leap": lambda it, s: it.facade.projects.change_status(s, it.tenant_id, "archived"),
    "an unknown status": lambda it, s: it.facade.projects.change_status(s, it.tenant_id, "gone"),  # type: ignore[arg-type]  # any text
    "an unknown state": lambda it, s: it.facade.projects.advance_onboarding(s, it.tenant_id, 5),
    "a negative quota": lambda it, s: it.facade.projects.override_quotas(s, it.tenant_id, max_workers=-1),
    "no tenant": lambda it, s: it.facade.projects.override_quotas(s, NOWHERE, max_workers=1),
    "a transfer by an admin": lambda it, s: it.facade.ownership.start(
        s, it.tenant_id, it.team.admin, it.team.viewer
    ),
    "a second transfer": lambda it, s: it.facade.ownership.start(
        s, it.tenant_id, it.team.owner, it.team.viewer
    ),
    "another's transfer": lambda it, s: it.facade.ownership.accept(s, it.tenant_id, it.team.admin),
    "a role by an admin": lambda it, s: it.facade.members.change_role(
        s, it.tenant_id, it.team.admin, it.team.viewer, "member"
    ),
    "the last owner": lambda it, s: it.facade.members.leave(s, it.tenant_id, it.team.owner),
    "a removal by a member": lambda it, s: it.facade.members.remove(
        s, it.tenant_id, it.team.member, it.team.viewer
    ),
    "an address with an invitation": lambda it, s: it.facade.invitations.invite(
        s, it.tenant_id, it.team.owner, email=it.email
    ),
    "a wrong token": lambda it, s: it.facade.acceptances.accept(s, it.invitation_id, f"{it.token}x"),
    "another's invitation": lambda it, s: it.facade.acceptances.accept(
        s, it.invitation_id, it.token, caller_user_id=it.team.owner
    ),
    "no invitation": lambda it, s: it.facade.invitations.revoke(s, it.tenant_id, it.team.owner, "inv_0"),
    "no ticket": lambda it, s: it.facade.support.change_ticket_status(
        s, it.tenant_id, "tkt_0", status="closed"
    ),
    "a payment of nothing": lambda it, s: it.facade.billing.record_payment(
        s, it.tenant_id, invoice_id="in_0"
    ),
    "an end of nothing": lambda it, s: it.facade.billing.cancel_subscription(s, it.tenant_id),
}


@pytest.mark.parametrize("attempt", REFUSED)
async def test_a_refusal_has_no_event(scene: Scene, attempt: str) -> None:
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        await refusal(REFUSED[attempt](scene, session))
    assert await events_of(scene) == before


UNCHANGING: dict[str, Operation] = {
    "the same role": lambda it, s: it.facade.members.change_role(
        s, it.tenant_id, it.team.owner, it.team.viewer, "viewer"
    ),
    "the same status": lambda it, s: it.facade.projects.change_status(s, it.tenant_id, "active"),
    "an earlier state": lambda it, s: it.facade.projects.advance_onboarding(s, it.tenant_id, 0),
    "no quotas": lambda it, s: it.facade.projects.override_quotas(s, it.tenant_id),
    "the plan's quotas": lambda it, s: it.facade.projects.override_quotas(s, it.tenant_id, max_workers=None),
    "the ticket as it is": lambda it, s: it.facade.support.change_ticket_status(
        s, it.tenant_id, it.ticket_id, status="open"
    ),
    "usage": lambda it, s: it.facade.usage.record(s, it.tenant_id, runs=1, tokens=1),
    "a lease": lambda it, s: it.facade.leases.acquire(s, it.tenant_id, "max_workers", "w"),
    "another token": lambda it, s: it.world.draw(s, it.tenant_id, it.invitation_id),
}


@pytest.mark.parametrize("attempt", UNCHANGING)
async def test_no_change_has_no_event(scene: Scene, attempt: str) -> None:
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        await UNCHANGING[attempt](scene, session)
    assert await events_of(scene) == before


async def test_an_accepted_transfer_has_an_event_for_both_roles(scene: Scene) -> None:
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        await scene.facade.ownership.accept(session, scene.tenant_id, scene.team.member)
    changes = [event for event in await events_since(scene, before) if event.type == "member.role_changed"]
    tenant_id, owner, member = scene.tenant_id, scene.team.owner, scene.team.member
    assert [parsed(event) for event in changes] == [
        scene.event(
            MemberRoleChangedEventData(tenant_id, user, role, previous, changed_at=scene.now), member, user
        )
        for user, role, previous in ((member, Role.OWNER, Role.MEMBER), (owner, Role.ADMIN, Role.OWNER))
    ]


@pytest.mark.parametrize("kind", ["tenant.created", "invitation.accepted"])
async def test_the_events_of_joining_are_in_order(scene: Scene, kind: str) -> None:
    """A consumer that knows members by their tenant needs the tenant first."""
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        await CASES[kind].do(scene, session)
    assert [event.type for event in await events_since(scene, before)] == [kind, "member.joined"]


async def test_a_replacement_of_something_expired_has_an_event(scene: Scene) -> None:
    scene.world.clock.advance(days=8)
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        await scene.facade.ownership.start(session, scene.tenant_id, scene.team.owner, scene.team.admin)
        invite = scene.facade.invitations.invite
        invited = await invite(session, scene.tenant_id, scene.team.owner, email=scene.email)
    offered, created = await events_since(scene, before)
    assert (offered.type, created.type) == ("tenant.transfer_offered", "invitation.created")
    assert offered.user_id == scene.team.admin
    assert created.data["invitation_id"] == invited.id != scene.invitation_id


async def test_an_event_has_all_quotas(scene: Scene) -> None:
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        override = scene.facade.projects.override_quotas
        await override(session, scene.tenant_id, max_workers=3, max_api_keys=4)
        await override(session, scene.tenant_id, max_workers=None, max_runs_per_day=5, max_members=6)
    _, event = await events_since(scene, before)
    assert parsed(event).data == TenantQuotasChangedEventData(
        scene.tenant_id, None, 5, None, None, 4, 6, changed_at=scene.now
    )


async def test_a_reopened_ticket_keeps_its_resolution(scene: Scene) -> None:
    before = await events_of(scene)
    async with scene.world.transaction() as session:
        change = scene.facade.support.change_ticket_status
        for status, resolution in (("resolved", "Done"), ("resolved", "Done twice"), ("open", None)):
            await change(session, scene.tenant_id, scene.ticket_id, status=status, resolution=resolution)  # type: ignore[arg-type]  # any text
        ticket = await scene.facade.support.get_ticket(session, scene.tenant_id, scene.ticket_id)
    assert (ticket.status, ticket.resolution) == ("open", "Done twice")
    said = await events_since(scene, before)
    assert [(one.actor, one.user_id) for one in said] == [(None, scene.team.viewer)] * 3
    assert [(one.type, one.data["status"], one.data.get("resolution")) for one in said] == [
        ("ticket.resolved", "resolved", "Done"),
        ("ticket.updated", "resolved", "Done twice"),
        ("ticket.reopened", "open", None),
    ]


async def test_no_event_carries_a_token(scene: Scene) -> None:
    tokens = [scene.token]
    async with scene.world.transaction() as session:
        await scene.facade.invitations.resend(session, scene.tenant_id, scene.team.owner, scene.invitation_id)
        tokens.append(await scene.world.draw(session, scene.tenant_id, scene.invitation_id))
        await scene.facade.acceptances.accept(session, scene.invitation_id, tokens[-1])
    events = await scene.world.events(tenant_id=scene.tenant_id)
    assert {"invitation.created", "invitation.resent", "invitation.accepted"} <= {*types(events)}
    written = orjson.dumps(events).decode()
    for token in tokens:
        assert token.partition(".")[2] not in written
        assert token_hash(token).hex() not in written
