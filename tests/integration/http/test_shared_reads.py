"""A read that concurrent requests share answers each of them as if it had been alone."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest
from support.console import Console, ConsoleOn
from support.outage import proxied
from support.pgbouncer import through
from support.world import Team

Read = Callable[[Console, str], Coroutine[Any, Any, str]]

RENAME_TENANT = """
    UPDATE account.tenants SET name = 'new' FROM account.memberships
    WHERE memberships.tenant_id = tenants.tenant_id AND memberships.user_id = $1"""
RENAME_ACCOUNT = "UPDATE account.users SET name = 'new' WHERE user_id = $1"


async def page(console: Console, user_id: str) -> str:
    """The name of the caller's only tenant, in a list."""
    found = (await console.client.get("/memberships", headers=console.as_(user_id))).json()
    return str(found["memberships"][0]["tenant_name"])


async def account(console: Console, user_id: str) -> str:
    path = f"/accounts/profile/{user_id}"
    return str((await console.identity.get(path, headers=console.as_(user_id))).json()["name"])


@pytest.mark.parametrize(("read", "write"), [(page, RENAME_TENANT), (account, RENAME_ACCOUNT)])
async def test_a_read_sees_a_change_acknowledged_before_it_began(
    console_on: ConsoleOn, fresh_database_url: str, read: Read, write: str
) -> None:
    """An equal read is under way: PostgreSQL has sent its answer, which has not arrived yet."""
    async with proxied(through(fresh_database_url)) as (url, proxy), console_on(url) as console:
        _, user_id = await console.tenant()
        await read(console, user_id)
        before = await read(console, user_id)  # through a pooler, it makes a function of its statement first
        proxy.hold_answers()
        early = asyncio.create_task(read(console, user_id))
        await proxy.holding.wait()
        await change(fresh_database_url, write, user_id)
        late = [asyncio.create_task(read(console, user_id)) for _ in range(3)]
        await asyncio.sleep(0.1)
        proxy.thaw()
        assert await early == before
        assert await asyncio.gather(*late) == ["new"] * 3


async def test_equal_requests_of_several_tenants_are_told_apart(console: Console) -> None:
    owners = dict([await console.tenant() for _ in range(8)])

    async def members(tenant_id: str) -> tuple[str, list[str]]:
        headers = console.as_(owners[tenant_id], tenant_id)
        found = (await console.client.get("/users?limit=50", headers=headers)).json()
        return tenant_id, [user["user_id"] for user in found["items"]]

    found = await asyncio.gather(*(members(tenant_id) for tenant_id in owners for _ in range(10)))
    assert len(found) == 80
    assert all(shown == [owners[tenant_id]] for tenant_id, shown in found)


async def test_each_caller_gets_a_list_of_their_own(console: Console, team: Team) -> None:
    people = [team.owner, team.admin, team.viewer, await console.add_user()]

    async def roles(user_id: str) -> list[str]:
        found = (await console.client.get("/memberships", headers=console.as_(user_id))).json()
        return [membership["role"] for membership in found["memberships"]]

    found = await asyncio.gather(*(roles(user_id) for user_id in people * 10))
    assert found == [["owner"], ["admin"], ["viewer"], []] * 10


async def change(url: str, statement: str, user_id: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await connection.execute(statement, user_id) == "UPDATE 1"
    finally:
        await connection.close()
