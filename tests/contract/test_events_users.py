"""Every change of an account has one event with all its data; no change has none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import pytest
from support.events import ParsedEvent, parsed, types
from support.world import NOBODY, World, outcome, refusal

from hoc.cus.account.L5_schemas.events import (
    EventData,
    UserCreatedEventData,
    UserDeletedEventData,
    UserProfileUpdatedEventData,
    UserStatusChangedEventData,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountProfileResponse,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)

ACTOR = "svc_console"
ACTIVE, INACTIVE = AccountStatusChangeRequest(is_active=True), AccountStatusChangeRequest(is_active=False)

Operation: TypeAlias = Callable[[World, AccountProfileResponse], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """A change of Ada's account by ``ACTOR``, and the data of its event."""

    change: Operation
    data: Callable[[World, AccountProfileResponse], EventData]


async def add_ada(world: World) -> AccountProfileResponse:
    request = AccountEnsureRequest(world.new_id(), world.new_email(), "Ada")
    ada, _ = await world.accounts.ensure_account(request, actor=ACTOR)
    return ada


def updated(
    world: World, ada: AccountProfileResponse, *names: str, name: str | None = "Ada", email: str | None = None
) -> EventData:
    return UserProfileUpdatedEventData(
        ada.user_id, email or ada.email, name or "", updated_fields=[*names], updated_at=world.clock.now
    )


def respelt(ada: AccountProfileResponse) -> str:
    return ada.email.replace("person", "Person")


CASES = {
    "name": Case(
        lambda world, ada: world.accounts.update_account_profile(
            ada.user_id, AccountUpdateRequest(name="Ada L."), actor=ACTOR
        ),
        lambda world, ada: updated(world, ada, "name", name="Ada L."),
    ),
    "email": Case(
        lambda world, ada: world.accounts.update_account_profile(
            ada.user_id, AccountUpdateRequest(name="Ada", email=respelt(ada)), actor=ACTOR
        ),
        lambda world, ada: updated(world, ada, "email", email=respelt(ada)),
    ),
    "name and email": Case(
        lambda world, ada: world.accounts.update_account_profile(
            ada.user_id, AccountUpdateRequest(name='"Ä" \\ L.', email=f"new-{ada.email}"), actor=ACTOR
        ),
        lambda world, ada: updated(world, ada, "name", "email", name='"Ä" \\ L.', email=f"new-{ada.email}"),
    ),
    "preferences": Case(
        lambda world, ada: world.accounts.update_account_preferences(
            ada.user_id, AccountPreferencesRequest({"theme": "dark"}), actor=ACTOR
        ),
        lambda world, ada: updated(world, ada, "preferences"),
    ),
    "deactivated": Case(
        lambda world, ada: world.accounts.change_account_status(
            ada.user_id, AccountStatusChangeRequest(is_active=False, reason=" Asked to "), actor=ACTOR
        ),
        lambda world, ada: UserStatusChangedEventData(
            ada.user_id,
            ada.email,
            is_active=False,
            reason="Asked to",
            changed_at=world.clock.now,
            changed_by=ACTOR,
        ),
    ),
    "deleted": Case(
        lambda world, ada: world.accounts.delete_account(ada.user_id, "Asked to", actor=ACTOR),
        lambda world, ada: UserDeletedEventData(
            ada.user_id, ada.email, "Asked to", deleted_at=world.clock.now
        ),
    ),
}

Refused: TypeAlias = Callable[[World, AccountProfileResponse, AccountProfileResponse], Awaitable[object]]

# Ada is the only owner of a tenant; Eve is another account.
REFUSED: dict[str, Refused] = {
    "a bad name": lambda world, ada, _: world.accounts.update_account_profile(
        ada.user_id, AccountUpdateRequest(name="\x00")
    ),
    "a taken address": lambda world, ada, eve: world.accounts.update_account_profile(
        ada.user_id, AccountUpdateRequest(name="Eve", email=eve.email)
    ),
    "preferences too large": lambda world, ada, _: world.accounts.update_account_preferences(
        ada.user_id, AccountPreferencesRequest({"a": "x" * 16_384})
    ),
    "a bad reason": lambda world, ada, _: world.accounts.delete_account(ada.user_id, "x" * 501),
    "the last owner": lambda world, ada, _: world.accounts.delete_account(ada.user_id),
    "a new account at a taken address": lambda world, ada, _: world.accounts.ensure_account(
        AccountEnsureRequest(world.new_id(), ada.email, "Ada")
    ),
    "nobody": lambda world, _ada, _eve: world.accounts.change_account_status(NOBODY, INACTIVE),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_change_has_one_event_and_its_repetition_none(world: World, case: Case) -> None:
    ada = await add_ada(world)
    world.clock.advance(minutes=1)
    await case.change(world, ada)
    expected = ParsedEvent(case.data(world, ada), ACTOR, tenant_id=None, user_id=ada.user_id)
    created, event = await world.events(user_id=ada.user_id)
    assert parsed(event) == expected
    world.clock.advance(minutes=1)
    await outcome(case.change(world, ada))
    assert await world.events(user_id=ada.user_id) == [created, event]


@pytest.mark.parametrize("attempt", REFUSED)
async def test_a_refusal_has_no_event(world: World, attempt: str) -> None:
    ada, eve = await add_ada(world), await add_ada(world)
    await world.tenant(ada.user_id)
    before = await world.events()
    await refusal(REFUSED[attempt](world, ada, eve))
    assert await world.events() == before


async def test_a_new_account_has_one_event(world: World) -> None:
    ada = await add_ada(world)
    again = AccountEnsureRequest(ada.user_id, world.new_email(), "Eve")
    assert await world.accounts.ensure_account(again, actor=ACTOR) == (ada, False)
    created = UserCreatedEventData(ada.user_id, ada.email, "Ada", "free", created_at=world.clock.now)
    [event] = await world.events(user_id=ada.user_id)
    assert parsed(event) == ParsedEvent(created, ACTOR, tenant_id=None, user_id=ada.user_id)


async def test_an_account_without_a_name_has_an_empty_one(world: World) -> None:
    email = world.new_email()
    user_id = await world.add_user(email)
    async with world.transaction() as session:
        await world.facade.update_profile(session, user_id, timezone_str="UTC")
    created, changed = await world.events(user_id=user_id)
    assert parsed(created) == ParsedEvent(
        UserCreatedEventData(user_id, email, "", "free", created_at=world.clock.now), None, None, user_id
    )
    assert parsed(changed).data == UserProfileUpdatedEventData(
        user_id, email, "", updated_fields=["timezone"], updated_at=world.clock.now
    )


async def test_an_accounts_life_has_every_event_in_order(world: World) -> None:
    """The changes have no actor; ``changed_by`` is ``system`` then."""
    ada = await add_ada(world)
    await world.accounts.update_account_profile(ada.user_id, AccountUpdateRequest(name="Ada L."))
    await world.accounts.change_account_status(ada.user_id, INACTIVE)
    await world.accounts.change_account_status(ada.user_id, ACTIVE)
    await world.accounts.change_account_status(ada.user_id, INACTIVE)
    await world.accounts.delete_account(ada.user_id)
    events = await world.events(user_id=ada.user_id)
    status = "user.status_changed"
    assert [event.type for event in events] == [
        "user.created",
        "user.profile_updated",
        *[status] * 3,
        "user.deleted",
    ]
    assert [event.actor for event in events] == [ACTOR, *[None] * 5]
    changes = [parsed(event).data for event in events if event.type == status]
    assert [change.is_active for change in changes if isinstance(change, UserStatusChangedEventData)] == [
        False,
        True,
        False,
    ]
    assert {getattr(change, "changed_by", None) for change in changes} == {"system"}


@pytest.mark.parametrize("commits", [True, False])
async def test_a_profile_changed_on_the_callers_session(world: World, *, commits: bool) -> None:
    ada = await add_ada(world)
    world.clock.advance(minutes=1)
    async with world.session() as session:
        for _ in range(2):
            await world.facade.update_profile(
                session, ada.user_id, display_name="Ada L.", timezone_str="UTC", preferences={"a": 1}
            )
        assert len(await world.events(user_id=ada.user_id)) == 1, "not before it is committed"
        await (session.commit() if commits else session.rollback())
    changed = updated(world, ada, "name", "timezone", "preferences", name="Ada L.")
    assert [parsed(event) for event in await world.events(user_id=ada.user_id)][1:] == (
        [ParsedEvent(changed, ada.user_id, tenant_id=None, user_id=ada.user_id)] if commits else []
    )


@pytest.mark.parametrize("commits", [True, False])
async def test_an_account_made_by_an_invitation(world: World, *, commits: bool) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.session() as session:
        for _ in range(2):
            await world.facade.accept_invitation(session, invitation_id, token)
        await (session.commit() if commits else session.rollback())
    made = await world.accounts.get_account_by_email(email)
    if not commits:
        assert made is None
        assert len(await world.events(tenant_id=tenant_id)) == 3, "the tenant, its owner, the invitation"
        return
    assert made is not None
    events = await world.events(user_id=made.user_id)
    assert types(events) == ["invitation.accepted", "member.joined", "user.created"]
    [created] = [parsed(event) for event in events if event.type == "user.created"]
    data = UserCreatedEventData(made.user_id, email, "", "free", created_at=world.clock.now)
    assert created == ParsedEvent(data, made.user_id, tenant_id=None, user_id=made.user_id)
    assert {event.actor for event in events} == {made.user_id}
