"""Expired rows are deleted, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.races import meeting, rewrite
from support.seed import add_tenants, add_users, execute, scalar
from support.waiting import until

from hoc.asgi import Accounts
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_schemas.port_types import IdempotencyKey
from hoc.cus.account.L6_drivers.idempotency import SqlIdempotencyKeys
from hoc.database import Database
from hoc.housekeeping import Housekeeping
from hoc.settings import Settings

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
OLD_ROWS = 25

COUNTERS = (
    "INSERT INTO account.invitation_limits SELECT tenant_id, :day, 1 FROM account.tenants",
    "INSERT INTO account.recipient_limits SELECT tenant_id, :day, 1 FROM account.tenants",
    "INSERT INTO account.tenant_creations SELECT tenant_id, :day, 1 FROM account.tenants",
)
KEYS = (
    "INSERT INTO account.idempotency_keys (tenant_id, principal, route, key, request_hash, created_at)"
    " SELECT tenant_id, 'p', 'r', :key, '', :at FROM account.tenants"
)
LEFT = (
    "SELECT ARRAY[(SELECT count(*) FROM account.invitation_limits),"
    " (SELECT count(*) FROM account.recipient_limits), (SELECT count(*) FROM account.tenant_creations),"
    " (SELECT count(*) FROM account.idempotency_keys)]"
)


@pytest.fixture
async def store(fresh_database: Database) -> Database:
    [owner] = await add_users(fresh_database, 1)
    await add_tenants(fresh_database, OLD_ROWS, {owner: "owner"})
    return fresh_database


async def fill(database: Database, at: datetime) -> None:
    """Store a counter of the day and an idempotency key of the moment for each tenant."""
    for statement in COUNTERS:
        await execute(database, statement, day=at.date())
    await execute(database, KEYS, key=str(at), at=at)


def housekeeping(database: Database) -> Housekeeping:
    return Housekeeping(database, clock=lambda: NOW, batch=10)


async def test_old_rows_go_and_others_stay(store: Database) -> None:
    await fill(store, NOW - timedelta(days=4))
    await fill(store, NOW - timedelta(days=3))
    await fill(store, NOW - timedelta(hours=23))
    await fill(store, NOW)
    assert await housekeeping(store).delete_expired() == 2 * 4 * OLD_ROWS
    assert await scalar(store, LEFT) == [2 * OLD_ROWS] * 4
    assert await housekeeping(store).delete_expired() == 0


async def test_ids_of_handled_messages_stay_for_ninety_days(store: Database) -> None:
    for days in (91, 89):
        await execute(
            store,
            "INSERT INTO account.inbound_messages (message_id, subject, received_at) VALUES (:id, 's', :at)",
            id=str(days),
            at=NOW - timedelta(days=days),
        )
    assert await housekeeping(store).delete_expired() == 1
    assert await scalar(store, "SELECT message_id FROM account.inbound_messages") == "89"


async def test_changes_of_addresses_stay_for_thirty_days(fresh_database: Database) -> None:
    old, recent = await add_users(fresh_database, 2)
    for user, days in ((old, 31), (recent, 29)):
        await execute(
            fresh_database,
            "INSERT INTO account.email_changes (user_id, email, email_key, requested_at, day, requests)"
            " VALUES (:user, 'new@example.com', 'new@example.com', :at, :day, 1)",
            user=user,
            at=NOW - timedelta(days=days),
            day=(NOW - timedelta(days=days)).date(),
        )
    assert await housekeeping(fresh_database).delete_expired() == 1
    assert await scalar(fresh_database, "SELECT user_id FROM account.email_changes") == recent


async def test_hours_stay_as_long_as_statistics_look_back(store: Database) -> None:
    hours = "INSERT INTO account.account_registrations VALUES (:hour, 0, 7)"
    for days in (33, 31, 1):
        await execute(store, hours, hour=NOW - timedelta(days=days))
    await housekeeping(store).delete_expired()
    kept = "SELECT array_agg(hour ORDER BY hour) FROM account.account_registrations WHERE accounts = 7"
    assert await scalar(store, kept) == [NOW - timedelta(days=31), NOW - timedelta(days=1)]


async def test_usage_of_a_day_becomes_one_row_and_stays_400_days(fresh_database: Database) -> None:
    [owner] = await add_users(fresh_database, 1)
    tenants = await add_tenants(fresh_database, 2, {owner: "owner"})
    for tenant in tenants:
        for days, slots in ((401, 2), (399, 12), (2, 3), (1, 3), (0, 3)):
            await execute(
                fresh_database,
                "INSERT INTO account.usage_days SELECT :tenant, :day, slot, 1, 10"
                " FROM generate_series(1, CAST(:slots AS int)) AS slot",
                tenant=tenant,
                day=(NOW - timedelta(days=days)).date(),
                slots=slots,
            )
    await housekeeping(fresh_database).delete_expired()
    kept = (
        "SELECT array_agg(ARRAY[CAST(:today AS date) - day, rows, runs, tokens] ORDER BY day)"
        " FROM (SELECT day, count(*) AS rows, sum(runs) AS runs, sum(tokens) AS tokens"
        " FROM account.usage_days WHERE tenant_id = :tenant GROUP BY day) AS d"
    )
    for tenant in tenants:
        found = await scalar(fresh_database, kept, tenant=tenant, today=NOW.date())
        assert found == [[399, 1, 12, 120], [2, 1, 3, 30], [1, 3, 3, 30], [0, 3, 3, 30]]


async def test_several_at_once_do_not_disturb_each_other(store: Database) -> None:
    await fill(store, NOW - timedelta(days=3))
    await asyncio.gather(*(housekeeping(store).delete_expired() for _ in range(5)))
    await housekeeping(store).delete_expired()
    assert await scalar(store, LEFT) == [0, 0, 0, 0]


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_key_that_is_used_again_meanwhile_stays(
    fresh_database_url: str, store: Database, *, taken_out: bool
) -> None:
    key = IdempotencyKey("tenant", "principal", "route", "key")
    keys = SqlIdempotencyKeys()
    async with store.transaction() as session:
        await Idempotency(keys, clock=lambda: NOW - timedelta(days=2)).begin(session, key, b"request")
    if taken_out:
        rewrite(store, (r"\) AND account\.idempotency_keys\.created_at < \$1.* RETURNING", ") RETURNING"))

    async def take() -> None:
        async with store.transaction() as session:
            await Idempotency(keys, clock=lambda: NOW).begin(session, key, b"request")

    async with meeting(fresh_database_url, "SELECT FROM account.idempotency_keys FOR UPDATE") as held:
        await held.join(take())
        tidied = await held.join(housekeeping(store).delete_expired())
    assert await tidied == (1 if taken_out else 0)


async def test_it_runs_with_the_application(fresh_database_url: str, store: Database) -> None:
    await fill(store, NOW - timedelta(days=9_000))
    settings = Settings.model_validate({"database_url": fresh_database_url})
    async with Accounts(settings).lifespan():
        await until(partial(scalar, store, LEFT.replace("ARRAY[", "0 = ALL(ARRAY[") + ")"))


async def test_counts_of_past_hours_are_merged_and_sums_stay(store: Database) -> None:
    await execute(store, "DELETE FROM account.account_registrations")
    await execute(
        store,
        "INSERT INTO account.account_registrations"
        " SELECT hour, shard, 1 + shard FROM unnest(CAST(:hours AS timestamptz[])) AS hour,"
        " generate_series(0, 3) AS shard",
        hours=[NOW - timedelta(hours=age) for age in (0, 1, 3, 300)],
    )
    await execute(
        store,
        "DELETE FROM account.account_registrations WHERE shard = 0 AND hour = :hour",
        hour=NOW - timedelta(hours=300),
    )
    await asyncio.gather(*(housekeeping(store).delete_expired() for _ in range(3)))
    await housekeeping(store).delete_expired()
    left = "SELECT array_agg(ARRAY[shard, accounts] ORDER BY hour, shard) FROM account.account_registrations"
    now = [[shard, 1 + shard] for shard in range(4)]
    assert await scalar(store, left) == [[0, 9], [0, 10], *now, *now]
