"""Invitations created and accepted by fifty concurrent requests to two servers."""

from functools import partial

import pytest
from support.races import Request, race
from support.seed import add_invitation, add_tenants, add_users, damage, role_of, scalar
from support.two_servers import AT_ONCE, RECIPIENT_CAP, TENANT_CAP, TwoServers
from support.waiting import until

ROUNDS = 5
REVOKING_ROUNDS = 50
DECLINING_ROUNDS = 15

SEATS = (
    "SELECT (SELECT sum(members) FROM account.member_counts WHERE tenant_id = :tenant)"
    " + (SELECT count(*) FROM account.invitations WHERE tenant_id = :tenant AND status = 'pending')"
)


@pytest.mark.parametrize("has_account", [False, True])
async def test_an_invitation_accepted_fifty_times_adds_one_member(
    servers: TwoServers, *, has_account: bool
) -> None:
    owner, invited = await add_users(servers.database, 2)
    for tenant in await add_tenants(servers.database, ROUNDS, {owner: "owner"}):
        email = f"{invited}@example.com" if has_account else f"{tenant}@example.com"
        invitation = await add_invitation(servers.database, tenant, owner, email=email)
        body = {"token": invitation.token}
        answers = await race(
            [servers.call(n, "POST", invitation.accept_path, body=body) for n in range(AT_ONCE)]
        )
        assert {answer.status for answer in answers} == {200}
        assert all(answer.body == answers[0].body for answer in answers)
        accounts = "SELECT count(*) FROM account.users WHERE email_key = :email"
        assert await scalar(servers.database, accounts, email=email) == 1
        members = "SELECT count(*) FROM account.memberships WHERE tenant_id = :tenant"
        assert await scalar(servers.database, members, tenant=tenant) == 2
    assert await damage(servers.database) == []


async def test_fifty_invitations_of_a_new_address_make_one_account(servers: TwoServers) -> None:
    [owner] = await add_users(servers.database, 1)
    tenants = await add_tenants(servers.database, AT_ONCE, {owner: "owner"})
    email = f"{tenants[0]}@example.com"
    invitations = [await add_invitation(servers.database, tenant, owner, email=email) for tenant in tenants]
    answers = await race(
        [
            servers.call(n, "POST", invitation.accept_path, body={"token": invitation.token})
            for n, invitation in enumerate(invitations)
        ]
    )
    assert {answer.status for answer in answers} == {200}
    members = (
        "SELECT count(*) FROM account.memberships JOIN account.users u USING (user_id)"
        " WHERE u.email_key = :email HAVING count(DISTINCT user_id) = 1"
    )
    assert await scalar(servers.database, members, email=email) == AT_ONCE
    assert await damage(servers.database) == []


async def test_an_invitation_is_accepted_or_revoked(servers: TwoServers) -> None:
    [owner] = await add_users(servers.database, 1)
    for number, tenant in enumerate(await add_tenants(servers.database, REVOKING_ROUNDS, {owner: "owner"})):
        invitation = await add_invitation(servers.database, tenant, owner)
        path = f"/invitations/{invitation.id}"
        accepted, revoked = await race(
            [
                servers.call(number, "POST", f"{path}/accept", body={"token": invitation.token}),
                servers.call(number + 1, "DELETE", path, user=owner, tenant=tenant),
            ]
        )
        assert (accepted.status, revoked.status) in {(200, 409), (404, 200)}
        joined = "SELECT count(*) FROM account.memberships WHERE tenant_id = :tenant"
        assert await scalar(servers.database, joined, tenant=tenant) == (2 if accepted.status == 200 else 1)
    assert await damage(servers.database) == []


@pytest.mark.parametrize(
    ("method", "path", "outcomes"),
    [
        ("POST", "/accept", {(200, 409), (404, 200)}),
        ("POST", "/resend", {(200, 404), (409, 200)}),
        ("DELETE", "", {(200, 404), (409, 200)}),
    ],
    ids=["accepted", "resent", "revoked"],
)
async def test_an_invitation_is_declined_or_something_else(
    servers: TwoServers, method: str, path: str, outcomes: set[tuple[int, int]]
) -> None:
    owner, invited = await add_users(servers.database, 2)
    for number, tenant in enumerate(await add_tenants(servers.database, DECLINING_ROUNDS, {owner: "owner"})):
        invitation = await add_invitation(servers.database, tenant, owner, email=f"{invited}@example.com")
        token = {"token": invitation.token}
        accepting = path == "/accept"
        other = servers.call(
            number,
            method,
            f"/invitations/{invitation.id}{path}",
            user=invited if accepting else owner,
            tenant=tenant,
            body=token if accepting else None,
        )
        decline_path = f"/invitations/{invitation.id}/decline"
        done, declined = await race(
            [other, servers.call(number + 1, "POST", decline_path, user=invited, body=token)]
        )
        assert (done.status, declined.status) in outcomes
        joined = accepting and done.status == 200
        assert await role_of(servers.database, tenant, invited) == ("member" if joined else None)
        status = "SELECT status FROM account.invitations WHERE tenant_id = :tenant"
        is_declined = await scalar(servers.database, status, tenant=tenant) == "declined"
        assert is_declined is (declined.status == 200)
    assert await damage(servers.database) == []


async def test_an_address_is_invited_once(servers: TwoServers) -> None:
    [owner] = await add_users(servers.database, 1)
    for tenant in await add_tenants(servers.database, ROUNDS, {owner: "owner"}):
        email = f"{tenant}@example.com"
        answers = await race([_invite(servers, n, tenant, owner, email) for n in range(AT_ONCE)])
        created = [answer for answer in answers if answer.status == 201]
        assert len(created) == 1
        refused = {(a.status, a.body["code"]) for a in answers if a.status != 201}
        assert refused == {(409, "already_pending")}
        pending = "SELECT count(*) FROM account.invitations WHERE tenant_id = :tenant"
        assert await scalar(servers.database, pending, tenant=tenant) == 1
        queued = "SELECT count(*) = 0 FROM account.invitation_mails WHERE tenant_id = :tenant"
        await until(partial(scalar, servers.database, queued, tenant=tenant))
        assert [mail.invitation_id for mail in servers.mailbox.read() if mail.to == email] == [
            created[0].body["id"]
        ]
        sent = "SELECT sent FROM account.invitation_limits WHERE tenant_id = :tenant"
        assert await scalar(servers.database, sent, tenant=tenant) == 1


async def test_invitations_and_members_fill_the_seats(servers: TwoServers) -> None:
    """Four open invitations are accepted while many are invited: accepting takes no seat, and frees none."""
    [owner] = await add_users(servers.database, 1)
    for tenant in await add_tenants(servers.database, ROUNDS, {owner: "owner"}):
        opened = [await add_invitation(servers.database, tenant, owner) for _ in range(4)]
        accepts = [
            servers.call(n, "POST", each.accept_path, body={"token": each.token})
            for n, each in enumerate(opened)
        ]
        invites = [_invite(servers, n, tenant, owner, f"{n}.{tenant}@example.com") for n in range(20)]
        answers = await race([*invites[:10], *accepts, *invites[10:]])
        accepted = [answer for answer in answers if answer.status == 200]
        created = [answer for answer in answers if answer.status == 201]
        refused = {(a.status, a.body["code"]) for a in answers if a.status not in {200, 201}}
        assert (len(accepted), len(created), refused) == (4, 5, {(429, "quota_exceeded")})
        assert await scalar(servers.database, SEATS, tenant=tenant) == 10
    assert await damage(servers.database) == []


async def test_a_tenant_invites_up_to_its_cap(servers: TwoServers) -> None:
    [owner] = await add_users(servers.database, 1)
    [tenant] = await add_tenants(servers.database, 1, {owner: "owner"}, seats=AT_ONCE + 1)
    answers = await race(
        [_invite(servers, n, tenant, owner, f"{n}.{tenant}@example.com") for n in range(AT_ONCE)]
    )
    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == TENANT_CAP
    assert statuses.count(429) == AT_ONCE - TENANT_CAP


async def test_an_address_is_invited_up_to_its_cap(servers: TwoServers) -> None:
    [owner] = await add_users(servers.database, 1)
    tenants = await add_tenants(servers.database, AT_ONCE, {owner: "owner"})
    email = f"{tenants[0]}@example.com"
    answers = await race([_invite(servers, n, tenant, owner, email) for n, tenant in enumerate(tenants)])
    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == RECIPIENT_CAP
    assert statuses.count(429) == AT_ONCE - RECIPIENT_CAP


async def test_accepting_again_does_not_bring_a_removed_member_back(servers: TwoServers) -> None:
    owner, invited = await add_users(servers.database, 2)
    for number, tenant in enumerate(await add_tenants(servers.database, REVOKING_ROUNDS, {owner: "owner"})):
        email = f"{invited}@example.com"
        invitation = await add_invitation(servers.database, tenant, owner, email=email)
        accept = servers.call(number, "POST", invitation.accept_path, body={"token": invitation.token})
        await race([accept])
        again, removed = await race(
            [accept, servers.call(number + 1, "DELETE", f"/users/{invited}", user=owner, tenant=tenant)]
        )
        assert again.status in {200, 404}
        assert removed.status == 200
        assert await role_of(servers.database, tenant, invited) is None
    assert await damage(servers.database) == []


def _invite(servers: TwoServers, server: int, tenant: str, owner: str, email: str) -> Request:
    return servers.call(server, "POST", "/users/invite", user=owner, tenant=tenant, body={"email": email})
