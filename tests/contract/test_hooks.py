"""Hooks: the host's own consequences of an event, in the transaction of the change."""

from typing import Any

import pytest
from support.event_cases_domains import DOMAIN_CASES
from support.event_cases_people import PEOPLE_CASES
from support.event_cases_scim import SCIM_CASES
from support.event_cases_tenant import TENANT_CASES
from support.event_cases_webhooks import WEBHOOK_CASES
from support.event_scene import Case, Scene, build_scene
from support.events import parsed
from support.world import MemoryWorld, PostgresWorld, World, outcome, refusal

from hoc.cus.account.L5_engines.accounts_facade import AccountsErrorResult, AccountsFacade
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.hooks import OF_NO_OPERATION, Hook
from hoc.cus.account.L5_schemas.errors import ConflictError
from hoc.cus.account.L5_schemas.events import EVENTS, EventData
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountStatusChangeRequest
from hoc.cus.account.wiring import create_account_service, options_of, postgres_engines
from hoc.events.billing import billing_handlers
from hoc.events.message import InboundMessage
from hoc.settings import Settings
from hoc.testing import memory_account_service, memory_engines

CASES = {
    kind: case
    for kind, case in (TENANT_CASES | PEOPLE_CASES | DOMAIN_CASES | SCIM_CASES | WEBHOOK_CASES).items()
    if kind not in OF_NO_OPERATION
}
OF_TWO_OPERATIONS = {
    "tenant.transfer_offered",
    "ticket.reopened",
    "scim.token_revoked",
    "scim.group_role_removed",
    "invitation.role_changed",
    *DOMAIN_CASES.keys() - {"domain.claimed"},
    *WEBHOOK_CASES.keys() - {"webhook.created"},
}


class Seen:
    """A hook of every event, which keeps what it is given. ``refuses`` are the types that it refuses."""

    def __init__(self) -> None:
        self.events: list[EventData] = []
        self.refuses: set[str] = set()

    def hooks(self, *types: str) -> dict[str, Hook]:
        return dict.fromkeys(types or EVENTS.keys() - OF_NO_OPERATION, self)

    async def __call__(self, _session: Any, event: EventData) -> None:
        self.events.append(event)
        if event.event_type in self.refuses:
            raise ConflictError("The host has no seat left.", code="no_seat")


def engines_of(world: World, hooks: dict[str, Hook]) -> Engines:
    if isinstance(world, MemoryWorld):
        return memory_engines(world.database, clock=world.clock, hooks=hooks)
    return postgres_engines(options_of(Settings()), clock=world.clock, hooks=hooks)


def accounts_of(world: World, hooks: dict[str, Hook]) -> Any:
    if isinstance(world, MemoryWorld):
        return memory_account_service(world.database, clock=world.clock, hooks=hooks)
    assert isinstance(world, PostgresWorld)
    return create_account_service(world.database, clock=world.clock, hooks=hooks)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def scene(world: World, seen: Seen) -> Scene:
    """The scene, made without hooks; what is done in it afterwards has one for every event."""
    made = await build_scene(world)
    world.engines = engines_of(world, seen.hooks())
    world.facade = AccountsFacade(world.engines)
    return made


async def events_of(scene: Scene) -> list[Any]:
    of_tenant = await scene.world.events(tenant_id=scene.tenant_id)
    of_owner = await scene.world.events(user_id=scene.team.owner)
    return of_tenant + [event for event in of_owner if event.tenant_id != scene.tenant_id]


each_case = pytest.mark.parametrize(("kind", "case"), CASES.items(), ids=CASES)


@each_case
async def test_a_hook_gets_each_event_once_or_undoes_it(
    scene: Scene, seen: Seen, kind: str, case: Case
) -> None:
    """The caller keeps its own transaction, and can commit what else is in it."""
    before = await events_of(scene)
    if kind not in OF_TWO_OPERATIONS:
        seen.refuses = {kind}
        async with scene.world.session() as session:
            assert (await refusal(case.do(scene, session)))[1] == "no_seat"
            await session.commit()
        assert await events_of(scene) == before
    seen.refuses, seen.events = set(), []
    async with scene.world.session() as session:
        await case.do(scene, session)
        called = [*seen.events]
        await session.commit()
    written = [parsed(event).data for event in await events_of(scene) if event not in before]
    assert called == seen.events == written
    assert kind in [event.event_type for event in called]
    async with scene.world.transaction() as session:
        await outcome((case.again or case.do)(scene, session))
    assert seen.events == called, "what changes nothing calls no hook"


async def test_a_refusal_by_a_hook_is_the_facades_error(scene: Scene, seen: Seen) -> None:
    seen.refuses = {"invitation.created"}
    async with scene.world.transaction() as session:
        before = await scene.facade.list_invitations(session, scene.tenant_id, scene.team.owner)
        refused = await scene.facade.invite_user(
            session, scene.tenant_id, scene.team.owner, email=scene.world.new_email()
        )
        listed = await scene.facade.list_invitations(session, scene.tenant_id, scene.team.owner)
    assert refused == AccountsErrorResult("no_seat", "The host has no seat left.", 409)
    assert listed == before


async def test_earlier_operations_of_a_session_are_not_read_again(scene: Scene, seen: Seen) -> None:
    change = scene.facade.members.change_role
    async with scene.world.session() as session:
        for role in ("member", "admin"):
            async with session.begin_nested():
                await change(session, scene.tenant_id, scene.team.owner, scene.team.viewer, role)
        await change(session, scene.tenant_id, scene.team.owner, scene.team.viewer, "viewer")
        await session.commit()
    assert [getattr(event, "role", None) for event in seen.events] == ["member", "admin", "viewer"]


async def test_a_hook_calls_the_facade_which_calls_hooks(scene: Scene, seen: Seen) -> None:
    async def open_ticket(session: Any, event: Any) -> None:
        await scene.facade.support.create_ticket(
            session, event.tenant_id, scene.team.owner, subject="S", description="D"
        )

    hooks: dict[str, Hook] = {"member.role_changed": open_ticket, "ticket.created": seen}
    scene.world.facade = AccountsFacade(engines_of(scene.world, hooks))
    async with scene.world.transaction() as session:
        await scene.facade.members.change_role(
            session, scene.tenant_id, scene.team.owner, scene.team.viewer, "admin"
        )
    assert [event.event_type for event in seen.events] == ["ticket.created"]


async def test_a_hook_has_the_events_of_the_account_service(world: World, seen: Seen) -> None:
    accounts, user_id = accounts_of(world, seen.hooks()), world.new_id()
    request = AccountEnsureRequest(user_id, world.new_email(), "Ada")
    await accounts.ensure_account(request)
    await accounts.ensure_account(request)
    await accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=False))
    await accounts.delete_account(user_id)
    written = [parsed(event).data for event in await world.events(user_id=user_id)]
    assert seen.events == written
    assert [event.event_type for event in written] == ["user.created", "user.status_changed", "user.deleted"]


async def test_a_hook_refuses_an_account(world: World, seen: Seen) -> None:
    accounts, user_id = accounts_of(world, seen.hooks("user.created")), world.new_id()
    seen.refuses = {"user.created"}
    request = AccountEnsureRequest(user_id, world.new_email(), "Ada")
    assert (await refusal(accounts.ensure_account(request)))[1] == "no_seat"
    assert await world.events(user_id=user_id) == []
    seen.refuses = set()
    assert (await accounts.ensure_account(request))[1], "nothing of the first attempt stayed"


def test_an_unknown_event_is_refused_with_the_nearest(world: World, seen: Seen) -> None:
    with pytest.raises(ValueError, match=r"no event 'member.join' .* mean 'member.joined'"):
        engines_of(world, {"member.join": seen})


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_hook_cannot_end_the_transaction_unnoticed(scene: Scene, end: str) -> None:
    async def end_it(session: Any, _event: EventData) -> None:
        await getattr(session, end)()

    facade = AccountsFacade(engines_of(scene.world, {"member.role_changed": end_it}))
    async with scene.world.session() as session:
        with pytest.raises(RuntimeError):
            await facade.members.change_role(
                session, scene.tenant_id, scene.team.owner, scene.team.viewer, "admin"
            )


async def test_an_inbound_event_calls_hooks(scene: Scene, seen: Seen) -> None:
    """The handlers of billing call the engines, in the transaction that stores the message's id."""
    handle = billing_handlers(scene.facade.billing)["subscription.created"]
    month = {"current_period_start": "2026-03-01T00:00:00Z", "current_period_end": "2026-04-01T00:00:00Z"}
    data = {"tenant_id": scene.tenant_id, "plan": "pro", **month}
    message = InboundMessage("1", "subscription.created", scene.now, data)
    seen.refuses = {"tenant.subscription_changed"}
    async with scene.world.transaction() as session:
        await refusal(handle(session, message))
    seen.refuses, seen.events = set(), []
    async with scene.world.transaction() as session:
        await handle(session, message)
    written = await scene.world.events(tenant_id=scene.tenant_id)
    assert seen.events == [
        parsed(event).data for event in written if event.type == "tenant.subscription_changed"
    ]
    assert len(seen.events) == 1
