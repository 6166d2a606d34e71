"""Preferences, usage and slugs, changed by fifty concurrent requests."""

import asyncio

from support.postgres import open_connections, opened
from support.races import race
from support.seed import add_tenants, add_users, damage, scalar
from support.two_servers import AT_ONCE, TwoServers

from hoc.cus.account.L5_schemas.errors import LimitExceededError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database

ROUNDS = 3
RUNS_PER_DAY = 100
RUNS_AT_ONCE = 3
CALLS = 60


async def test_merges_of_different_preferences_all_survive(servers: TwoServers) -> None:
    for user in await add_users(servers.database, ROUNDS):
        [tenant] = await add_tenants(servers.database, 1, {user: "owner"})
        answers = await race(
            [
                servers.call(
                    n, "PUT", "/profile", user=user, tenant=tenant, body={"preferences": {f"k{n}": n}}
                )
                for n in range(AT_ONCE)
            ]
        )
        assert {answer.status for answer in answers} == {200}
        merged = await scalar(
            servers.database, "SELECT preferences FROM account.users WHERE user_id = :user", user=user
        )
        assert merged == {f"k{n}": n for n in range(AT_ONCE)}


async def test_usage_is_counted_up_to_the_quota_and_not_beyond(fresh_database_url: str) -> None:
    usage = postgres_engines(Options()).usage
    # Enough connections that calls wait for a lock, not for a connection.
    pool_size = CALLS // 2
    async with (
        opened(fresh_database_url, pool_size=pool_size) as one,
        opened(fresh_database_url, pool_size=pool_size) as other,
    ):
        for database in (one, other):
            await open_connections(database, pool_size)
        [owner] = await add_users(one, 1)
        [tenant] = await add_tenants(one, 1, {owner: "owner"})

        async def record(database: Database) -> bool:
            try:
                async with database.transaction() as session:
                    await usage.record(session, tenant, runs=RUNS_AT_ONCE, tokens=1)
            except LimitExceededError:
                return False
            return True

        counted = await asyncio.gather(*(record((one, other)[n % 2]) for n in range(CALLS)))
        assert sum(counted) == RUNS_PER_DAY // RUNS_AT_ONCE
        stored = "SELECT ARRAY[runs_today, runs_this_month, tokens_this_month] FROM account.usage_counters"
        assert await scalar(one, stored) == [RUNS_AT_ONCE * sum(counted)] * 2 + [sum(counted)]


async def test_a_slug_is_given_once(servers: TwoServers) -> None:
    users = await add_users(servers.database, AT_ONCE)
    for number in range(ROUNDS):
        body = {"name": "Same", "slug": f"same-{users[0][-12:]}-{number}"}
        answers = await race(
            [servers.call(n, "POST", "/projects", user=user, body=body) for n, user in enumerate(users)]
        )
        refused = [answer.body["code"] for answer in answers if answer.status == 409]
        assert [answer.status for answer in answers].count(201) == 1
        assert refused == ["slug_taken"] * (AT_ONCE - 1)
    assert await damage(servers.database) == []
