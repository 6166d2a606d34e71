"""Joining a tenant by a verified address in one of its domains."""

from typing import Any

import pytest
from support.world import NOBODY, NOWHERE, World, refusal

from hoc.cus.account.L5_schemas.domains import JoinDecidedResult, JoinRequestResult, JoinResult
from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.values import AnyDomainJoining

NOT_JOINABLE = "There is no such tenant that your address lets you join."


async def joinable(
    world: World, joining: AnyDomainJoining, role: Any = "member", *, seats: int | None = None
) -> tuple[str, str, str]:
    """A tenant with a verified domain: its id, owner and domain."""
    tenant_id, owner = await world.tenant(seats=seats)
    domain = f"{world.new_email().partition('@')[0]}.example.org"
    domains = world.engines.domains
    async with world.transaction() as session:
        await domains.claim(session, tenant_id, owner, domain)
        await world.engines.domain_checks.record(session, tenant_id, domain, "found")
        await domains.update(session, tenant_id, owner, domain, joining=joining, join_role=role)
    return tenant_id, owner, domain


async def person(world: World, domain: str, name: str = "ada") -> str:
    return await world.add_user(f"{name}@{domain}")


async def join(world: World, user_id: str, tenant_id: str) -> JoinResult:
    async with world.transaction() as session:
        return await world.engines.joining.join(session, user_id, tenant_id)


async def refused(world: World, user_id: str, tenant_id: str) -> tuple[Any, ...]:
    async with world.transaction() as session:
        return await refusal(world.engines.joining.join(session, user_id, tenant_id))


async def requests(world: World, tenant_id: str, owner: str, status: Any = None) -> list[JoinRequestResult]:
    async with world.reading() as session:
        page = await world.engines.joining.list_requests(session, tenant_id, owner, status=status)
    assert page.value.total == len(page.value.requests)
    return page.value.requests


async def remove(world: World, tenant_id: str, owner: str, user_id: str) -> None:
    async with world.transaction() as session:
        await world.engines.members.remove(session, tenant_id, owner, user_id)


async def test_an_address_in_the_domain_joins_in_its_role(world: World) -> None:
    tenant_id, _, domain = await joinable(world, "open", "viewer")
    user_id = await person(world, domain)
    for _ in range(2):
        assert await join(world, user_id, tenant_id) == JoinResult(tenant_id, "joined", "viewer")
    assert await world.role_of(tenant_id, user_id) == "viewer"
    joined = [event for event in await world.events(user_id=user_id) if event.type == "member.joined"]
    assert [(event.actor, event.data["invited_by"]) for event in joined] == [(user_id, None)]


async def test_a_linked_subject_joins_with_its_account(world: World) -> None:
    tenant_id, _, domain = await joinable(world, "open")
    user_id, subject = await person(world, domain), world.new_id()
    await world.accounts.link_identity(user_id, subject)
    async with world.reading() as session:
        shown = (await world.engines.joining.list_joinable(session, subject)).value
    assert [each.tenant_id for each in shown.tenants] == [tenant_id]
    assert (await join(world, subject, tenant_id)).status == "joined"
    assert await world.role_of(tenant_id, user_id) == "member"


async def test_one_who_may_join_sees_the_tenant(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    user_id, other = await person(world, domain), await world.add_user()

    async def listed(of: str) -> list[tuple[str, ...]]:
        async with world.reading() as session:
            page = (await world.engines.joining.list_joinable(session, of)).value
        assert page.total == len(page.tenants)
        return [(row.tenant_id, row.domain, row.joining, row.role, row.request or "") for row in page.tenants]

    assert await listed(user_id) == [(tenant_id, domain, "ask", "member", "")]
    assert await listed(other) == []
    await join(world, user_id, tenant_id)
    assert await listed(user_id) == [(tenant_id, domain, "ask", "member", "pending")]
    async with world.transaction() as session:
        await world.engines.joining.grant(session, tenant_id, owner, user_id)
    assert await listed(user_id) == []


@pytest.mark.parametrize("address", ["ada@other.example.org", "ada@sub.{domain}", "ada@{domain}.example.org"])
async def test_another_domains_address_does_not_join(world: World, address: str) -> None:
    tenant_id, _, domain = await joinable(world, "open")
    local, _, of = address.format(domain=domain).partition("@")
    user_id = await world.add_user(f"{local}-{world.new_id()}@{of}")
    assert await refused(world, user_id, tenant_id) == await refused(world, user_id, NOWHERE)
    assert (await refused(world, user_id, tenant_id))[::2] == (NotFoundError, NOT_JOINABLE)


async def test_an_unverified_or_inactive_account_does_not_join(world: World) -> None:
    tenant_id, _, domain = await joinable(world, "open")
    unverified = await world.add_user(f"eve@{domain}", email_verified=False)
    inactive = await person(world, domain)
    await world.deactivate(inactive)
    for user_id in (unverified, inactive, NOBODY):
        assert (await refused(world, user_id, tenant_id))[:2] == (ForbiddenError, "email_not_verified")


async def test_a_pending_or_closed_domain_lets_nobody_in(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "closed")
    user_id = await person(world, domain)
    assert (await refused(world, user_id, tenant_id))[0] is NotFoundError
    domains = world.engines.domains
    async with world.transaction() as session:
        await domains.update(session, tenant_id, owner, domain, joining="open")
        await world.engines.domain_checks.record(session, tenant_id, domain, "missing")
        world.clock.advance(days=7)
        await world.engines.domain_checks.record(session, tenant_id, domain, "missing")
    assert (await refused(world, user_id, tenant_id))[0] is NotFoundError


async def test_a_lost_domain_ends_no_membership(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "open")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    async with world.transaction() as session:
        await world.engines.domains.remove(session, tenant_id, owner, domain)
    assert await world.role_of(tenant_id, user_id) == "member"


@pytest.mark.parametrize("status", ["suspended", "terminated"])
async def test_a_tenant_that_is_not_active_takes_nobody(world: World, status: str) -> None:
    tenant_id, _, domain = await joinable(world, "open")
    user_id = await person(world, domain)
    await world.suspend(tenant_id)
    if status == "terminated":
        await world.suspend(tenant_id, status)
    assert (await refused(world, user_id, tenant_id))[0] is TenantNotActiveError
    async with world.reading() as session:
        assert (await world.engines.joining.list_joinable(session, user_id)).value.tenants == []


async def test_joining_needs_a_seat(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "open", seats=2)
    invitation_id, _ = await world.invite(tenant_id, owner)
    user_id = await person(world, domain)
    assert (await refused(world, user_id, tenant_id))[:2] == (LimitExceededError, "quota_exceeded")
    async with world.transaction() as session:
        await world.engines.invitations.revoke(session, tenant_id, owner, invitation_id)
    assert (await join(world, user_id, tenant_id)).status == "joined"


async def test_an_invited_person_is_sent_to_the_invitation(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    invitation_id, token = await world.invite(tenant_id, owner, f"ada@{domain}", "admin")
    assert (await refused(world, user_id, tenant_id))[:2] == (ConflictError, "already_invited")
    async with world.transaction() as session:
        granted = world.engines.joining.grant(session, tenant_id, owner, user_id)
        assert (await refusal(granted))[:2] == (ConflictError, "already_invited")
        await world.engines.acceptances.accept(session, invitation_id, token)
    assert await requests(world, tenant_id, owner) == []
    assert await world.role_of(tenant_id, user_id) == "admin"


async def test_a_request_waits_to_be_granted(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask", "viewer")
    user_id = await person(world, domain)
    for _ in range(2):
        assert await join(world, user_id, tenant_id) == JoinResult(tenant_id, "requested", None)
    assert await requests(world, tenant_id, owner) == [
        JoinRequestResult(user_id, f"ada@{domain}", None, "pending", world.clock.now)
    ]
    async with world.transaction() as session:
        granted = await world.engines.joining.grant(session, tenant_id, owner, user_id, role="admin")
        assert granted == JoinDecidedResult("Request granted", user_id, "admin")
        again = await refusal(world.engines.joining.grant(session, tenant_id, owner, user_id))
    assert again[0] is NotFoundError
    assert await world.role_of(tenant_id, user_id) == "admin"
    assert await requests(world, tenant_id, owner) == []


async def test_a_refused_person_asks_no_more(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    async with world.transaction() as session:
        await world.engines.joining.refuse(session, tenant_id, owner, user_id)
    assert (await refused(world, user_id, tenant_id))[:2] == (ForbiddenError, "join_refused")
    assert [row.user_id for row in await requests(world, tenant_id, owner, "refused")] == [user_id]
    async with world.transaction() as session:
        await world.engines.joining.grant(session, tenant_id, owner, user_id)
    assert await world.role_of(tenant_id, user_id) == "member"


async def test_a_removed_member_has_to_ask(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "open")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    await remove(world, tenant_id, owner, user_id)
    assert [row.user_id for row in await requests(world, tenant_id, owner, "removed")] == [user_id]
    assert (await join(world, user_id, tenant_id)).status == "requested"
    assert (await join(world, user_id, tenant_id)).status == "requested"
    async with world.transaction() as session:
        await world.engines.joining.grant(session, tenant_id, owner, user_id)
        await world.engines.members.leave(session, tenant_id, user_id)
    assert (await join(world, user_id, tenant_id)).status == "joined", "who left joins again"


async def test_a_request_is_granted_only_while_in_the_domain(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    async with world.transaction() as session:
        await world.engines.domains.remove(session, tenant_id, owner, domain)
        granted = await refusal(world.engines.joining.grant(session, tenant_id, owner, user_id))
    assert granted[:2] == (ConflictError, "not_in_domain")


async def test_owners_and_admins_decide_on_requests(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    admin, member = [await world.join(tenant_id, owner, role) for role in ("admin", "member")]
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    joining = world.engines.joining
    async with world.transaction() as session:
        for call in (
            joining.grant(session, tenant_id, member, user_id),
            joining.refuse(session, tenant_id, member, user_id),
            joining.list_requests(session, tenant_id, member),
        ):
            assert (await refusal(call))[0] is ForbiddenError
        for nobody in (NOBODY, member, "\x00"):
            for decide in (joining.grant, joining.refuse):
                assert (await refusal(decide(session, tenant_id, admin, nobody)))[0] is NotFoundError
        await joining.refuse(session, tenant_id, admin, user_id)


async def test_a_request_of_an_inactive_account_is_not_listed(world: World) -> None:
    tenant_id, owner, domain = await joinable(world, "ask")
    user_id = await person(world, domain)
    await join(world, user_id, tenant_id)
    await world.deactivate(user_id)
    assert await requests(world, tenant_id, owner) == []
    async with world.transaction() as session:
        granted = await refusal(world.engines.joining.grant(session, tenant_id, owner, user_id))
    assert granted[0] is NotFoundError
