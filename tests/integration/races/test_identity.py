"""Concurrent calls of the identity service on two servers, and of the console on the same accounts."""

import itertools
import uuid
from dataclasses import replace

import pytest
from support.races import Request, race
from support.seed import add_invitation, add_tenants, add_users, damage, scalar
from support.two_servers import AT_ONCE, TwoServers

CALLERS = 200
KEYS = 100
PARTS = 4
RIVALS = 20
ROUNDS = 5
SWAPS = 20
OWNER_ROUNDS = 60
MEMBER_ROUNDS = 60


@pytest.mark.parametrize("_part", range(PARTS))
async def test_200_callers_of_a_key_get_one_account(servers: TwoServers, _part: int) -> None:
    """100 keys in all, in parts that each take some seconds."""
    run = uuid.uuid4().hex
    for key in range(KEYS // PARTS):
        body = {"user_id": f"{run}-{key}", "email": f"{run}-{key}@example.com", "name": "Ada"}
        template = servers.identity(0, "POST", "/ensure", body)
        answers = await race([replace(template, port=servers.ports[n % 2]) for n in range(CALLERS)])
        statuses = [answer.status for answer in answers]
        assert (statuses.count(201), statuses.count(200)) == (1, CALLERS - 1)
        assert all(answer.body == answers[0].body for answer in answers)
    stored = "SELECT count(*) FROM account.users WHERE email_key LIKE :pattern"
    assert await scalar(servers.database, stored, pattern=f"{run}-%") == KEYS // PARTS
    assert await damage(servers.database) == []


async def test_one_of_many_rivals_gets_an_address(servers: TwoServers) -> None:
    for _ in range(ROUNDS):
        run = uuid.uuid4().hex
        bodies = [
            {"user_id": f"{run}-{n}", "email": f"{run}@example.com", "name": "Ada"} for n in range(RIVALS)
        ]
        answers = await race([servers.identity(n, "POST", "/ensure", body) for n, body in enumerate(bodies)])
        assert sorted(answer.status for answer in answers) == [201] + [400] * (RIVALS - 1)
        [winner] = [answer.body for answer in answers if answer.status == 201]
        stored = "SELECT min(user_id) FROM account.users WHERE email_key = :email HAVING count(*) = 1"
        assert await scalar(servers.database, stored, email=f"{run}@example.com") == winner["user_id"]
    assert await damage(servers.database) == []


async def test_one_of_many_accounts_moves_to_an_address(servers: TwoServers) -> None:
    for _ in range(ROUNDS):
        rivals, email = await add_users(servers.database, RIVALS), f"{uuid.uuid4().hex}@example.com"
        answers = await race(
            [
                servers.identity(n, "PUT", f"/profile/{user}", {"email": email})
                for n, user in enumerate(rivals)
            ]
        )
        assert sorted(answer.status for answer in answers) == [200] + [400] * (RIVALS - 1)


async def test_accounts_cannot_take_each_others_address(servers: TwoServers) -> None:
    users = await add_users(servers.database, 2 * SWAPS)
    for one, other in zip(users[::2], users[1::2], strict=True):
        answers = await race(
            [
                servers.identity(0, "PUT", f"/profile/{one}", {"email": f"{other}@example.com"}),
                servers.identity(1, "PUT", f"/profile/{other}", {"email": f"{one}@example.com"}),
            ]
        )
        assert {answer.status for answer in answers} == {400}


async def test_one_of_many_accounts_is_revived_at_an_address(servers: TwoServers) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    users = await add_users(servers.database, RIVALS)
    for user in users:
        [moved] = await race([servers.identity(0, "PUT", f"/profile/{user}", {"email": email})])
        [off] = await race([servers.identity(0, "DELETE", f"/profile/{user}")])
        assert (moved.status, off.status) == (200, 200)
    answers = await race([_status(servers, n, user, is_active=True) for n, user in enumerate(users)])
    assert sorted(answer.status for answer in answers) == [200] + [400] * (RIVALS - 1)
    assert await damage(servers.database) == []


async def test_preferences_merged_at_once_all_survive(servers: TwoServers) -> None:
    for user in await add_users(servers.database, ROUNDS):
        path = f"/preferences/{user}"
        answers = await race([servers.identity(n, "PUT", path, {f"k{n}": n}) for n in range(AT_ONCE)])
        assert {answer.status for answer in answers} == {200}
        [account] = await race([servers.identity(0, "GET", f"/profile/{user}")])
        assert account.body["preferences"] == {f"k{n}": n for n in range(AT_ONCE)}


async def test_one_of_two_last_owners_stays(servers: TwoServers) -> None:
    moves = itertools.cycle(itertools.product(("deactivate", "delete", "leave", "demote"), repeat=2))
    for number, (of_ada, of_bob) in zip(range(OWNER_ROUNDS), moves, strict=False):
        ada, bob = await add_users(servers.database, 2)
        [tenant] = await add_tenants(servers.database, 1, {ada: "owner", bob: "owner"})
        answers = await race(
            [
                _move(servers, number, of_ada, tenant, ada, by=bob),
                _move(servers, number + 1, of_bob, tenant, bob, by=ada),
            ]
        )
        statuses = sorted(answer.status for answer in answers)
        # A member who was demoted or has gone may do nothing any more: the other refusals.
        assert statuses[0] == 200, statuses
        assert statuses[1] in {403, 404, 409}, statuses
    assert await damage(servers.database) == []


async def test_changes_of_accounts_and_members_keep_counts_exact(servers: TwoServers) -> None:
    for number in range(MEMBER_ROUNDS):
        ada, bob, eve, joining = await add_users(servers.database, 4)
        [tenant] = await add_tenants(servers.database, 1, {ada: "owner", bob: "admin", eve: "member"})
        known = await add_invitation(servers.database, tenant, ada, email=f"{joining}@example.com")
        unknown = await add_invitation(servers.database, tenant, ada)
        role = {"role": "viewer"}
        calls = [
            _status(servers, number, eve, is_active=False),
            _status(servers, number + 1, eve, is_active=True),
            servers.call(number, "PUT", f"/users/{eve}/role", user=ada, tenant=tenant, body=role),
            servers.call(number + 1, "DELETE", f"/users/{eve}", user=ada, tenant=tenant),
            _status(servers, number, joining, is_active=False),
            servers.call(number + 1, "POST", known.accept_path, body={"token": known.token}),
            servers.call(number, "POST", unknown.accept_path, body={"token": unknown.token}),
            servers.identity(number + 1, "DELETE", f"/profile/{bob}"),
            servers.call(number, "PUT", f"/users/{bob}/role", user=ada, tenant=tenant, body=role),
            servers.call(number + 1, "POST", "/tenant/leave", user=bob, tenant=tenant),
        ]
        answers = await race(calls[number % len(calls) :] + calls[: number % len(calls)])
        assert {answer.status for answer in answers} <= {200, 400, 403, 404, 409}
    assert await damage(servers.database) == []


def _status(servers: TwoServers, server: int, user: str, *, is_active: bool) -> Request:
    return servers.identity(server, "PUT", f"/status/{user}", {"is_active": is_active})


def _move(servers: TwoServers, server: int, move: str, tenant: str, user: str, *, by: str) -> Request:
    match move:
        case "deactivate":
            return _status(servers, server, user, is_active=False)
        case "delete":
            return servers.identity(server, "DELETE", f"/profile/{user}")
        case "leave":
            return servers.call(server, "POST", "/tenant/leave", user=user, tenant=tenant)
        case _:
            path, body = f"/users/{user}/role", {"role": "member"}
            return servers.call(server, "PUT", path, user=by, tenant=tenant, body=body)
