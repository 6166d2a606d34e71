"""A tenant keeps an owner and exact member counts under concurrent requests to two servers."""

import itertools

from support.races import Request, race
from support.seed import add_invitation, add_tenants, add_users, damage, owner_count, role_of
from support.two_servers import TwoServers

ROUNDS = 500
FEWER_ROUNDS = 100

REFUSALS = {403, 404, 409}


def _move(servers: TwoServers, server: int, move: str, *, tenant: str, user: str, other: str) -> Request:
    match move:
        case "leave":
            return servers.call(server, "POST", "/tenant/leave", user=user, tenant=tenant)
        case "demote":
            path, body = f"/users/{other}/role", {"role": "member"}
            return servers.call(server, "PUT", path, user=user, tenant=tenant, body=body)
        case _:
            return servers.call(server, "DELETE", f"/users/{other}", user=user, tenant=tenant)


async def test_one_of_two_owners_who_end_each_other_stays(servers: TwoServers) -> None:
    ada, bob = await add_users(servers.database, 2)
    tenants = await add_tenants(servers.database, ROUNDS, {ada: "owner", bob: "owner"})
    moves = itertools.cycle(itertools.product(("leave", "demote", "remove"), repeat=2))
    for number, (tenant, (move_of_ada, move_of_bob)) in enumerate(zip(tenants, moves, strict=False)):
        answers = await race(
            [
                _move(servers, number, move_of_ada, tenant=tenant, user=ada, other=bob),
                _move(servers, number + 1, move_of_bob, tenant=tenant, user=bob, other=ada),
            ]
        )
        statuses = [answer.status for answer in answers]
        assert set(statuses) <= {200, *REFUSALS}
        # One is refused: the last owner, or a former owner. A demoted owner may leave.
        may_both = {move_of_ada, move_of_bob} == {"demote", "leave"}
        assert statuses.count(200) in ({1, 2} if may_both else {1})
    assert await damage(servers.database) == []


async def test_a_demoted_owner_demotes_nobody(servers: TwoServers) -> None:
    ada, bob, eve = await add_users(servers.database, 3)
    tenants = await add_tenants(servers.database, FEWER_ROUNDS, {ada: "owner", bob: "owner", eve: "owner"})
    for number, tenant in enumerate(tenants):
        answers = await race(
            [
                _move(servers, number, "demote", tenant=tenant, user=ada, other=bob),
                _move(servers, number + 1, "demote", tenant=tenant, user=bob, other=ada),
            ]
        )
        assert sorted(answer.status for answer in answers) == [200, 403]
        assert await owner_count(servers.database, tenant) == 2
    assert await damage(servers.database) == []


async def test_an_ownership_transfer_is_accepted_or_cancelled(servers: TwoServers) -> None:
    ada, bob = await add_users(servers.database, 2)
    tenants = await add_tenants(servers.database, FEWER_ROUNDS, {ada: "owner", bob: "member"})
    path = "/tenant/ownership-transfer"
    for number, tenant in enumerate(tenants):
        offer = servers.call(0, "POST", path, user=ada, tenant=tenant, body={"to_user_id": bob})
        [offered] = await race([offer])
        assert offered.status == 201
        accepted, accepted_too, cancelled, cancelled_too = await race(
            [
                servers.call(number, "POST", f"{path}/accept", user=bob, tenant=tenant),
                servers.call(number + 1, "POST", f"{path}/accept", user=bob, tenant=tenant),
                servers.call(number, "DELETE", path, user=ada, tenant=tenant),
                servers.call(number + 1, "DELETE", path, user=bob, tenant=tenant),
            ]
        )
        statuses = [answer.status for answer in (accepted, accepted_too, cancelled, cancelled_too)]
        assert sorted(statuses) == [200, 404, 404, 404]
        handed_over = 200 in {accepted.status, accepted_too.status}
        roles = [await role_of(servers.database, tenant, user) for user in (ada, bob)]
        assert roles == (["admin", "owner"] if handed_over else ["owner", "member"])
    assert await damage(servers.database) == []


async def test_changes_of_members_at_once_keep_the_counts_exact(servers: TwoServers) -> None:
    ada, bob, eve = await add_users(servers.database, 3)
    tenants = await add_tenants(servers.database, FEWER_ROUNDS, {ada: "owner", bob: "admin", eve: "member"})
    for number, tenant in enumerate(tenants):
        invitation = await add_invitation(servers.database, tenant, ada, role="admin")
        accept = {"token": invitation.token}
        promote = f"/users/{eve}/role"
        answers = await race(
            [
                servers.call(number, "PUT", promote, user=ada, tenant=tenant, body={"role": "admin"}),
                servers.call(number + 1, "DELETE", f"/users/{eve}", user=bob, tenant=tenant),
                servers.call(number, "POST", invitation.accept_path, body=accept),
                servers.call(number + 1, "POST", invitation.accept_path, body=accept),
                servers.call(number, "POST", "/tenant/leave", user=bob, tenant=tenant),
                servers.call(
                    number + 1, "PUT", f"/users/{bob}/role", user=ada, tenant=tenant, body={"role": "viewer"}
                ),
            ]
        )
        assert {answer.status for answer in answers} <= {200, *REFUSALS}
    assert await damage(servers.database) == []
