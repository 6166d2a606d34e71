"""One account: creating, reading, changing, deactivating, deleting and reactivating it."""

from datetime import timedelta
from typing import Any

import pytest
from support.world import NOBODY, World

from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountServiceError,
    AccountValidationError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountProfileResponse,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)
from hoc.cus.account.L5_schemas.port_types import AccountPatch, Versioned

ACTIVE, INACTIVE = AccountStatusChangeRequest(is_active=True), AccountStatusChangeRequest(is_active=False)


async def ensured(world: World, email: str | None = None, name: str = "Ada") -> AccountProfileResponse:
    request = AccountEnsureRequest(world.new_id(), email or world.new_email(), name)
    account, was_created = await world.accounts.ensure_account(request)
    assert was_created
    return account


async def email_verified(world: World, user_id: str) -> bool:
    """Whether the console shows the address as verified."""
    tenant_id, _ = await world.tenant(user_id)
    async with world.reading() as session:
        detail = await world.engines.members.get_user(session, tenant_id, user_id)
    assert detail is not None
    return detail.value.email_verified


async def test_an_account_is_made_once_and_returned_unchanged_after(world: World) -> None:
    request = AccountEnsureRequest(world.new_id(), world.new_email(), "  Ada Lovelace ")
    made, was_created = await world.accounts.ensure_account(request)
    assert was_created
    assert made == AccountProfileResponse(
        user_id=request.user_id,
        email=request.email,
        name="Ada Lovelace",
        is_active=True,
        preferences={},
        created_at=world.clock.now,
        updated_at=world.clock.now,
    )
    world.clock.advance(minutes=1)
    other_body = AccountEnsureRequest(request.user_id, world.new_email(), "Eve")
    for again in (request, other_body):
        assert await world.accounts.ensure_account(again) == (made, False)
    assert await world.accounts.get_account_profile(request.user_id) == made
    assert await world.accounts.get_account_by_email(other_body.email) is None


async def test_a_taken_address_makes_no_account(world: World) -> None:
    taken = await ensured(world)
    rival = AccountEnsureRequest(world.new_id(), taken.email.upper(), "Eve")
    with pytest.raises(AccountValidationError) as refused:
        await world.accounts.ensure_account(rival)
    assert [problem.pointer for problem in refused.value.problems] == ["/email"]
    assert taken.email not in str(refused.value)
    with pytest.raises(AccountNotFoundError):
        await world.accounts.get_account_profile(rival.user_id)
    await world.accounts.change_account_status(taken.user_id, INACTIVE)
    with pytest.raises(AccountValidationError):
        await world.accounts.ensure_account(rival)
    await world.accounts.delete_account(taken.user_id)
    _, was_created = await world.accounts.ensure_account(rival)
    assert was_created, "a deleted account's address is free"


async def test_a_deactivated_account_is_returned_as_it_is(world: World) -> None:
    account = await ensured(world)
    await world.accounts.change_account_status(account.user_id, INACTIVE)
    again = AccountEnsureRequest(account.user_id, account.email, "Ada")
    found, was_created = await world.accounts.ensure_account(again)
    assert (found.is_active, was_created) == (False, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            ("user_id", value)
            for value in ("", "x" * 256, "a\x00", "a\nb", "\ud800", "a/b", "..", "a b", "\u2028", "a\u202e")
        ],
        *[("email", value) for value in ("", "ada", "a@b@c", "a\x00@example.com", "\ud800@example.com")],
        ("email", f"{'x' * 250}@example.com"),
        *[("name", value) for value in ("", "  ", "x" * 256, "a\nb", "\x00", "\ud800", "a\x1b[31m")],
    ],
)
async def test_bad_input_makes_no_account(world: World, field: str, value: str) -> None:
    given: dict[str, Any] = {"user_id": world.new_id(), "email": world.new_email(), "name": "Ada"}
    given[field] = value
    with pytest.raises(AccountValidationError) as refused:
        await world.accounts.ensure_account(AccountEnsureRequest(**given))
    assert [problem.pointer for problem in refused.value.problems] == [f"/{field}"]
    assert isinstance(refused.value, AccountServiceError)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("ADA{}@EXAMPLE.COM", "ada{}@example.com"),
        ("  ada{}@example.com ", "Ada{}@Example.Com"),
        ("ÄDA{}@example.com", "äda{}@example.com"),
        ("a\u0308da{}@example.com", "\u00e4da{}@example.com"),
        ("\u03a3da{}@example.com", "\u03c3da{}@example.com"),
    ],
)
async def test_an_address_is_one_in_any_spelling(world: World, given: str, same: str) -> None:
    own = world.new_id()
    account = await ensured(world, given.format(own))
    assert account.email == given.format(own).strip(), "stored and shown as given"
    assert await world.accounts.get_account_by_email(same.format(own)) == account
    with pytest.raises(AccountValidationError):
        await ensured(world, same.format(own))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u212aada{}@example.com", "kada{}@example.com"),
        ("\u0130da{}@example.com", "ida{}@example.com"),
        ("\u0131da{}@example.com", "ida{}@example.com"),
        ("\u017fam{}@example.com", "sam{}@example.com"),
        ("stra\u00dfe{}@example.com", "strasse{}@example.com"),
        ("\ufb01da{}@example.com", "fida{}@example.com"),
        ("a.da{}@example.com", "ada{}@example.com"),
        ("ada{}+x@example.com", "ada{}@example.com"),
    ],
)
async def test_a_lookalike_address_is_another_account(world: World, one: str, other: str) -> None:
    """CVE-2019-19844: a lookalike address neither finds nor blocks another's account."""
    own = world.new_id()
    account = await ensured(world, other.format(own))
    try:
        assert await world.accounts.get_account_by_email(one.format(own)) is None
        await ensured(world, one.format(own))
    except AccountValidationError:
        pass  # not an address at all
    assert await world.accounts.get_account_by_email(other.format(own)) == account


async def test_only_an_address_can_be_looked_up(world: World) -> None:
    for no_address in ("", "ada", "\x00", "%@example.com" * 40):
        with pytest.raises(AccountValidationError):
            await world.accounts.get_account_by_email(no_address)


async def test_name_and_address_change_when_they_are_given(world: World) -> None:
    account, email = await ensured(world), world.new_email()
    world.clock.advance(minutes=1)
    renamed = await world.accounts.update_account_profile(
        account.user_id, AccountUpdateRequest(name=" Ada L. ")
    )
    assert (renamed.name, renamed.email, renamed.updated_at) == ("Ada L.", account.email, world.clock.now)
    assert renamed.created_at == account.created_at
    moved = await world.accounts.update_account_profile(account.user_id, AccountUpdateRequest(email=email))
    assert (moved.name, moved.email) == ("Ada L.", email)
    assert await world.accounts.get_account_by_email(email) == moved
    assert await world.accounts.get_account_by_email(account.email) is None
    assert await world.accounts.get_account_profile(account.user_id) == moved


async def test_the_event_names_the_fields_that_really_changed(world: World) -> None:
    account, email = await ensured(world), world.new_email()
    same: dict[str, Any] = {"email": account.email, "email_key": account.email}
    other: dict[str, Any] = {"email": email, "email_key": email}
    ada: dict[str, Any] = {"name": "Ada", "name_key": "ada"}
    eve: dict[str, Any] = {"name": "Eve", "name_key": "eve"}
    expected: list[list[str]] = []
    for patch, names in (
        (AccountPatch(), []),
        (AccountPatch(**ada, **same), []),
        (AccountPatch(**eve, **same), ["name"]),
        (AccountPatch(**eve, **other), ["email"]),
        (AccountPatch(email=email.upper(), email_key=email), ["email"]),
        (AccountPatch(**ada, **same), ["name", "email"]),
    ):
        updated = await world.accounts.repository.update_account_profile(
            account.user_id, patch, world.clock.now, actor=None
        )
        assert updated is not None
        expected += [names] if names else []
        events = (await world.events(user_id=account.user_id))[1:]
        assert [event.data["updated_fields"] for event in events] == expected


async def test_no_change_leaves_the_time(world: World) -> None:
    account = await ensured(world)
    world.clock.advance(minutes=1)
    for same in (
        AccountUpdateRequest(),
        AccountUpdateRequest(name="Ada"),
        AccountUpdateRequest(name=" Ada ", email=f" {account.email} "),
    ):
        assert await world.accounts.update_account_profile(account.user_id, same) == account
    unchanging: list[dict[str, Any]] = [{}, {"missing": None}]
    for preferences in unchanging:
        await world.accounts.update_account_preferences(
            account.user_id, AccountPreferencesRequest(preferences)
        )
    await world.accounts.change_account_status(account.user_id, ACTIVE)
    assert await world.accounts.get_account_profile(account.user_id) == account


async def test_a_new_address_has_yet_to_be_verified(world: World) -> None:
    email = world.new_email()
    user_id = await world.add_user(email)
    assert await email_verified(world, user_id)
    update = world.accounts.update_account_profile
    await update(user_id, AccountUpdateRequest(name="Ada", email=email.upper()))
    assert await email_verified(world, user_id), "the same address in another case"
    await update(user_id, AccountUpdateRequest(email=world.new_email()))
    assert not await email_verified(world, user_id)
    await update(user_id, AccountUpdateRequest(email=email))
    assert not await email_verified(world, user_id)


async def test_a_taken_address_changes_nothing(world: World) -> None:
    ada, eve = await ensured(world), await ensured(world, name="Eve")
    world.clock.advance(minutes=1)
    with pytest.raises(AccountValidationError):
        await world.accounts.update_account_profile(
            eve.user_id, AccountUpdateRequest(name="Ada", email=ada.email.title())
        )
    assert await world.accounts.get_account_profile(eve.user_id) == eve


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "a\x00"), ("name", "x" * 256), ("email", ""), ("email", "ada")],
)
async def test_bad_input_changes_nothing(world: World, field: str, value: str) -> None:
    account = await ensured(world)
    given: dict[str, Any] = {field: value}
    with pytest.raises(AccountValidationError):
        await world.accounts.update_account_profile(account.user_id, AccountUpdateRequest(**given))
    assert await world.accounts.get_account_profile(account.user_id) == account


async def test_preferences_are_merged(world: World) -> None:
    account = await ensured(world)

    async def merge(patch: dict[str, Any]) -> dict[str, Any]:
        await world.accounts.update_account_preferences(account.user_id, AccountPreferencesRequest(patch))
        return (await world.accounts.get_account_profile(account.user_id)).preferences

    world.clock.advance(minutes=1)
    assert await merge({"theme": "dark", "mail": {"news": True, "digest": 1}}) == {
        "theme": "dark",
        "mail": {"news": True, "digest": 1},
    }
    assert await merge({"theme": None, "mail": {"digest": 7}}) == {"mail": {"news": True, "digest": 7}}
    assert await merge({"mail": ["list"]}) == {"mail": ["list"]}
    assert (await world.accounts.get_account_profile(account.user_id)).updated_at == world.clock.now


async def test_preferences_are_capped(world: World) -> None:
    account = await ensured(world)
    deep: dict[str, Any] = {}
    for _ in range(8):
        deep = {"a": deep}
    await world.accounts.update_account_preferences(
        account.user_id, AccountPreferencesRequest({"a": "x" * 16_000})
    )
    before = await world.accounts.get_account_profile(account.user_id)
    for patch, cap in (
        (deep, "8 levels"),
        ({"b": "x" * 16_384}, "16384 bytes"),
        ({"b": "x" * 400}, "16384 bytes after merging"),
        ({"b": "\x00"}, "NUL"),
    ):
        with pytest.raises(AccountValidationError, match=cap):
            await world.accounts.update_account_preferences(account.user_id, AccountPreferencesRequest(patch))
    assert await world.accounts.get_account_profile(account.user_id) == before


async def test_an_unknown_account_is_not_found(world: World) -> None:
    accounts = world.accounts
    for user_id in (NOBODY, "", "x" * 256, "\x00", "\ud800", f"{NOBODY}%"):
        for operation in (
            accounts.get_account_profile(user_id),
            accounts.update_account_profile(user_id, AccountUpdateRequest(name="Ada")),
            accounts.update_account_preferences(user_id, AccountPreferencesRequest({})),
            accounts.change_account_status(user_id, ACTIVE),
            accounts.change_account_status(user_id, INACTIVE),
            accounts.delete_account(user_id),
        ):
            with pytest.raises(AccountNotFoundError):
                await operation


async def test_a_deactivated_account_is_neither_read_nor_changed(world: World) -> None:
    account = await ensured(world)
    assert await world.accounts.change_account_status(account.user_id, INACTIVE)
    for operation in (
        world.accounts.get_account_profile(account.user_id),
        world.accounts.update_account_profile(account.user_id, AccountUpdateRequest(name="Eve")),
        world.accounts.update_account_preferences(account.user_id, AccountPreferencesRequest({"a": 1})),
    ):
        with pytest.raises(AccountNotFoundError):
            await operation
    assert await world.accounts.get_account_by_email(account.email) is None
    world.clock.advance(minutes=1)
    assert await world.accounts.change_account_status(account.user_id, ACTIVE)
    back = await world.accounts.get_account_profile(account.user_id)
    assert (back.name, back.preferences, back.is_active) == ("Ada", {}, True)
    assert back.updated_at - account.updated_at == timedelta(minutes=1)


async def test_deleting_and_deactivating_again_change_nothing(world: World) -> None:
    account = await ensured(world)
    request = AccountEnsureRequest(account.user_id, account.email, "Ada")
    assert await world.accounts.delete_account(account.user_id, reason="asked to")
    deleted, _ = await world.accounts.ensure_account(request)
    world.clock.advance(minutes=1)
    assert await world.accounts.delete_account(account.user_id)
    assert await world.accounts.change_account_status(account.user_id, INACTIVE)
    assert await world.accounts.ensure_account(request) == (deleted, False)
    await world.accounts.change_account_status(account.user_id, ACTIVE)
    assert (await world.accounts.get_account_profile(account.user_id)).is_active


@pytest.mark.parametrize("reason", ["", "x" * 501, "a\nb", "\x00"])
async def test_a_reason_is_one_line(world: World, reason: str) -> None:
    account = await ensured(world)
    with pytest.raises(AccountValidationError):
        await world.accounts.delete_account(account.user_id, reason)
    with pytest.raises(AccountValidationError):
        await world.accounts.change_account_status(
            account.user_id, AccountStatusChangeRequest(is_active=False, reason=reason)
        )
    assert await world.accounts.get_account_profile(account.user_id) == account


async def test_an_account_whose_address_was_taken_is_not_revived(world: World) -> None:
    gone = await ensured(world)
    await world.accounts.delete_account(gone.user_id)
    request = AccountEnsureRequest(gone.user_id, gone.email, "Ada")
    before = await world.accounts.ensure_account(request)
    heir = await ensured(world, gone.email.upper())
    world.clock.advance(minutes=1)
    with pytest.raises(AccountValidationError):
        await world.accounts.change_account_status(gone.user_id, ACTIVE)
    assert await world.accounts.ensure_account(request) == before
    assert await world.accounts.get_account_by_email(gone.email) == heir


async def test_health_reports_the_database(world: World) -> None:
    assert await world.accounts.health_check() == {
        "status": "healthy",
        "database_connected": True,
        "timestamp": world.clock.now.isoformat(),
    }


async def test_a_change_to_another_version_changes_nothing(world: World) -> None:
    account = await ensured(world)
    service, user_id = world.accounts, account.user_id
    version = (await service.get_versioned_profile(user_id)).version
    renamed, moved = AccountUpdateRequest(name="Eve"), AccountUpdateRequest(email=world.new_email())
    for expected_version in (version + 1, version - 1):
        expected: Any = {"expected_version": expected_version}
        for change in (
            service.update_versioned_profile(user_id, renamed, **expected),
            service.update_versioned_profile(user_id, moved, **expected),
            service.update_versioned_profile(user_id, moved, is_own=True, **expected),
            service.update_account_preferences(user_id, AccountPreferencesRequest({"a": 1}), **expected),
            service.change_account_status(user_id, INACTIVE, **expected),
            service.delete_account(user_id, **expected),
        ):
            with pytest.raises(StaleVersionError):
                await change
    assert await service.get_versioned_profile(user_id) == Versioned(account, version)
    with pytest.raises(AccountNotFoundError):
        await service.pending_email_change(user_id)
    changed = await service.update_versioned_profile(user_id, renamed, expected_version=version)
    assert (changed.value.name, changed.version) == ("Eve", version + 1)
    assert await service.delete_account(user_id, expected_version=version + 1)
