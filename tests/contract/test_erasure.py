"""Erasing a person: what is gone, what stays, and who is who afterwards."""

import uuid
from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    ConflictError,
    InvalidInputError,
    LastOwnerError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
    SignInRequest,
)

ADMIN = "usr_operator"
CANARY = f"xq7z{uuid.uuid4().hex[:8]}"


FORGED: list[list[object]] = [
    ["users", "u"],
    ["nothing", "x"],
    [1],
    [["tenants"], "t"],
    ["invitations", "a\0b"],
    ["invitations", 1.5],
    ["invitations", True],
    ["invitations", {}],
]
"""Kinds that no tenant's row has, and values that no key has."""


def encoded(cursor: object) -> str:
    return urlsafe_b64encode(orjson.dumps(cursor)).decode()


async def erase(world: World, user_id: str) -> Any:
    async with world.transaction() as session:
        return await world.engines.erasure.erase_user(session, user_id, actor=ADMIN)


async def sign_up(world: World, subject: str, email: str) -> str:
    account, _ = await world.accounts.ensure_account(
        AccountEnsureRequest(subject, email, CANARY, email_verified=True)
    )
    return account.user_id


async def a_busy_person(world: World) -> tuple[str, str, str]:
    """Somebody who has a row of each kind with a canary in each text; the tenant, and the address."""
    team, email = await world.team(), f"{CANARY}-{world.new_email()}"
    user_id = await sign_up(world, world.new_id(), email)
    await world.join(team.tenant_id, team.owner, "admin", user_id=user_id, email=email)
    await world.accounts.link_identity(user_id, f"{CANARY}|{user_id}", issuer="https://issuer.example.com")
    await world.accounts.record_sign_in(user_id, SignInRequest(CANARY))
    await world.accounts.update_own_profile(
        user_id, AccountUpdateRequest(email=f"{CANARY}-{world.new_email()}")
    )
    async with world.transaction() as session:
        await world.engines.profiles.update(
            session, user_id, preferences={CANARY: CANARY}, avatar_url=f"https://example.com/{CANARY}"
        )
        support = world.engines.support
        ticket = await support.create_ticket(
            session, team.tenant_id, user_id, subject=CANARY, description=CANARY
        )
        await support.reply(session, team.tenant_id, ticket.id, user_id, text=CANARY)
        await support.reply(session, team.tenant_id, ticket.id, ADMIN, text=CANARY, as_support=True)
        await support.resolve(session, team.tenant_id, ticket.id, ADMIN, resolution=CANARY, as_support=True)
        await world.engines.members.update(
            session, team.tenant_id, team.owner, user_id, metadata={"note": CANARY}
        )
        await world.engines.ownership.start(session, team.tenant_id, team.owner, user_id)
    await world.accounts.change_account_status(
        user_id, AccountStatusChangeRequest(is_active=False, reason=CANARY)
    )
    await world.accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=True))
    await world.invite(*await world.tenant(), email)
    return user_id, team.tenant_id, email


async def test_nothing_personal_stays_in_any_row(world: World) -> None:
    before = {key for key, row in (await world.rows()).items() if CANARY in repr((key, row))}
    user_id, tenant_id, _ = await a_busy_person(world)
    erased = await erase(world, user_id)
    assert (erased.user_id, erased.erased_at) == (user_id, world.clock.now)
    left = {key: row for key, row in (await world.rows()).items() if CANARY in repr((key, row))}
    assert left.keys() <= before
    assert await world.role_of(tenant_id, user_id) is None


async def test_past_events_keep_all_but_what_is_personal(world: World) -> None:
    user_id, tenant_id, _ = await a_busy_person(world)
    before = [*await world.events(user_id=user_id), *await world.events(tenant_id=tenant_id)]
    await erase(world, user_id)
    after = [*await world.events(user_id=user_id), *await world.events(tenant_id=tenant_id)]
    kept = {event.event_id: event for event in after}
    for event in before:
        same = kept[event.event_id]
        assert (same.type, same.time, same.actor, same.user_id) == (
            event.type,
            event.time,
            event.actor,
            event.user_id,
        )
        assert same.data.items() <= event.data.items()
        gone = event.data.keys() - same.data.keys()
        assert gone <= {"email", "name", "subject", "reason", "provider", "resolution"}
    of_user = await world.events(user_id=user_id)
    assert (of_user[-1].type, of_user[-1].actor) == ("user.erased", ADMIN)
    assert of_user[-1].data.keys() == {"user_id", "erased_at"}
    assert [event.type for event in of_user].count("user.erased") == 1
    created = next(event for event in of_user if event.type == "user.created")
    assert created.data.keys() == {"user_id", "subscription_plan", "created_at"}


async def test_the_address_and_the_subject_are_free_at_once(world: World) -> None:
    user_id, _, email = await a_busy_person(world)
    await erase(world, user_id)
    again = await sign_up(world, user_id, email)
    assert again != user_id
    assert await sign_up(world, user_id, email) == again
    profile = await world.accounts.get_account_profile(user_id)
    assert (profile.user_id, profile.email) == (again, email)
    await erase(world, user_id)
    assert (await world.accounts.get_account_profile(again)).email == email


async def test_an_erased_subject_accepts_an_invitation(world: World) -> None:
    """The person comes back by an invitation, under another id."""
    tenant_id, owner = await world.tenant()
    subject, email = world.new_id(), world.new_email()
    await sign_up(world, subject, email)
    await erase(world, subject)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(
            session, invitation_id, token, caller_user_id=subject, caller_verified_email=email
        )
    again = (await world.accounts.get_account_profile(subject)).user_id
    assert again != subject
    assert await world.role_of(tenant_id, again) == "member"


async def test_a_tenants_only_owner_is_not_erased(world: World) -> None:
    team = await world.team()
    before = await world.rows()
    with pytest.raises(LastOwnerError, match=team.tenant_id):
        await erase(world, team.owner)
    assert await world.rows() == before
    await world.suspend(team.tenant_id, "terminated")
    await erase(world, team.owner)


async def test_erasing_again_erases_leftovers_only(world: World) -> None:
    user_id, _, _ = await a_busy_person(world)
    first = await erase(world, user_id)
    world.clock.advance(hours=1)
    assert await erase(world, user_id) == first
    before = await world.rows()
    assert await erase(world, user_id) == first
    assert await world.rows() == before
    assert [event.type for event in await world.events(user_id=user_id)].count("user.erased") == 1
    async with world.reading() as session:
        listed = await world.engines.erasure.list_erased_users(session)
    assert [each.erased_at for each in listed if each.user_id == user_id] == [first.erased_at]


async def test_an_erased_account_takes_no_change(world: World) -> None:
    user_id, _, _ = await a_busy_person(world)
    await erase(world, user_id)
    before = await world.rows()
    accounts = world.accounts
    for change in (
        accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=True)),
        accounts.delete_account(user_id),
        accounts.record_sign_in(user_id, SignInRequest("google")),
        accounts.update_account_profile(user_id, AccountUpdateRequest(name="Ada")),
        accounts.link_identity(user_id, "ada"),
    ):
        with pytest.raises(AccountNotFoundError):
            await change
    for unknown in (world.new_id(), "a\0b"):
        with pytest.raises(AccountNotFoundError):
            await erase(world, unknown)
    assert await world.rows() == before


async def test_a_deleted_account_is_erased_without_a_second_end(world: World) -> None:
    user_id, email = await sign_up(world, world.new_id(), address := world.new_email()), address
    await world.deactivate(user_id, deleted=True)
    taker = await sign_up(world, world.new_id(), email)
    tenant_id, owner = await world.tenant()
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    await erase(world, user_id)
    types = [event.type for event in await world.events(user_id=user_id)]
    assert types == ["user.created", "user.deleted", "user.erased"]
    async with world.reading() as session:
        received = await world.engines.received_invitations.list(session, taker)
    assert [each.id for each in received.value.invitations] == [invitation_id]


async def test_an_export_has_every_row_about_the_person(world: World) -> None:
    """Each row that an erasure empties, and nothing of others."""
    user_id, tenant_id, email = await a_busy_person(world)
    stranger = await world.add_user()
    async with world.reading() as session:
        exported = await world.engines.erasure.export_user(session, user_id)
        with pytest.raises(AccountNotFoundError):
            await world.engines.erasure.export_user(session, world.new_id())
    assert exported.account["email"] == email
    assert exported.account["preferences"] == {CANARY: CANARY}
    assert [each["tenant_id"] for each in exported.memberships] == [tenant_id]
    assert exported.memberships[0]["metadata"] == {"note": CANARY}
    assert len(exported.invitations) == 2
    assert [each["description"] for each in exported.tickets] == [CANARY]
    assert [each["text"] for each in exported.ticket_replies] == [CANARY] * 2
    assert [each["subject"] for each in exported.identities] == [f"{CANARY}|{user_id}"]
    assert len(exported.email_changes) == len(exported.ownership_transfers) == 1
    types = [event["type"] for event in exported.events]
    assert types[0] == "user.created"
    assert {"ticket.created", "invitation.accepted", "user.signed_in"} <= {*types}
    told = repr(exported)
    assert stranger not in told
    for secret in ("token_hash", "email_key"):
        assert secret not in told
    await erase(world, user_id)
    async with world.reading() as session:
        assert CANARY not in repr(await world.engines.erasure.export_user(session, user_id))


async def exported_rows(world: World, tenant_id: str, **page: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every row of a tenant's export, page by page, with its kind."""
    rows: list[tuple[str, dict[str, Any]]] = []
    async with world.reading() as session:
        while True:
            read = await world.engines.erasure.export_tenant(session, tenant_id, **page)
            rows += [(record.kind, record.row) for record in read.value.records]
            if read.next_cursor is None:
                return rows
            page["cursor"] = read.next_cursor


async def test_an_export_of_a_tenant_has_each_row_once(world: World) -> None:
    """In any state of the tenant, and never a secret, nor anything of other tenants."""
    user_id, tenant_id, email = await a_busy_person(world)
    other, stranger = await world.tenant()
    async with world.transaction() as session:
        [owner] = (await world.engines.members.list_users(session, tenant_id, role="owner")).value.items
        made = await world.engines.scim_tokens.create(session, tenant_id, owner.user_id, name="Okta")
        secret = await world.engines.webhooks.create(
            session, tenant_id, owner.user_id, url="https://example.com/hook"
        )
    rows = await exported_rows(world, tenant_id)
    assert rows == await exported_rows(world, tenant_id, limit=2)
    kinds = [kind for kind, _ in rows]
    assert (kinds[0], kinds.count("tenants"), kinds.count("memberships")) == ("tenants", 1, 5)
    assert {"invitations", "support_tickets", "ticket_replies", "ownership_transfers"} <= {*kinds}
    assert {"scim_tokens", "webhook_endpoints"} <= {*kinds}
    assert {"events", "outbox"} & {*kinds}
    [member] = [row for kind, row in rows if kind == "memberships" and row["user_id"] == user_id]
    assert (member["email"], member["name"], member["metadata"]) == (email, CANARY, {"note": CANARY})
    told = repr(rows)
    for hidden in (other, stranger, made.token, secret.secret, "token_hash", "email_key"):
        assert hidden not in told

    await world.suspend(tenant_id, "terminated")
    async with world.transaction() as session:
        await world.engines.erasure.erase_tenant(session, tenant_id)
    rest = await exported_rows(world, tenant_id)
    assert {kind for kind, _ in rest} - {"events", "outbox"} == {"tenants"}
    assert CANARY not in repr(rest)


async def test_an_export_of_a_tenant_takes_only_its_cursors(world: World) -> None:
    tenant_id, _ = await world.tenant()
    export = world.engines.erasure.export_tenant
    forged = [["tenant_export", *each] for each in FORGED]
    async with world.reading() as session:
        for cursor in ("", "x", "é", *map(encoded, [None, 1, [], ["audit", "tenants", "t"], *forged])):
            with pytest.raises(InvalidInputError):
                await export(session, tenant_id, cursor=cursor)
        for limit in (0, 101):
            with pytest.raises(InvalidInputError):
                await export(session, tenant_id, limit=limit)
        for unknown in (world.new_id(), "a\0b", ""):
            with pytest.raises(NotFoundError):
                await export(session, unknown)


async def test_a_tenant_that_has_ended_is_erased_whole(world: World) -> None:
    """Its members' accounts stay, and so do other tenants."""
    user_id, tenant_id, _ = await a_busy_person(world)
    erasure = world.engines.erasure
    with pytest.raises(ConflictError, match="terminate"):
        async with world.transaction() as session:
            await erasure.erase_tenant(session, tenant_id)
    await world.suspend(tenant_id, "terminated")
    others = {key: row for key, row in (await world.rows()).items() if tenant_id not in repr((key, row))}
    events = await world.events(tenant_id=tenant_id)
    async with world.transaction() as session:
        erased = await erasure.erase_tenant(session, tenant_id, actor=ADMIN)
    rows = await world.rows()
    assert others.items() <= rows.items()
    left = {key[0] for key, row in rows.items() if row.get("tenant_id") == tenant_id}
    assert left <= {"tenants", "outbox", "events"}
    after = await world.events(tenant_id=tenant_id)
    assert [event.event_id for event in after[:-1]] == [event.event_id for event in events]
    assert not any({"name", "slug", "email", "subject", "resolution"} & event.data.keys() for event in after)
    assert (after[-1].type, [*after[-1].data]) == ("tenant.erased", ["tenant_id", "erased_at"])
    assert (await world.accounts.get_account_profile(user_id)).user_id == user_id
    async with world.transaction() as session:
        assert await erasure.erase_tenant(session, tenant_id) == erased
        assert tenant_id in [each.tenant_id for each in await erasure.list_erased_tenants(session)]
        with pytest.raises(NotFoundError):
            await erasure.erase_tenant(session, world.new_id())
