"""The audit trail is read in its order, and no event that a filter leaves out is read."""

from typing import Any

import pytest
from support.plans import MODES, blocks_read
from support.seed import execute

from hoc.cus.account.L6_drivers.event_log import OF_TENANT
from hoc.database import Database

EVENTS = 20_000
FEW_BLOCKS = 30
NOW = "2026-11-15 12:00:00+00"
FILL = f"""
    INSERT INTO account.events (sequence, position, event_id, type, time, tenant_id, actor, payload)
    SELECT n, n, gen_random_uuid(),
           CASE n % 5000 WHEN 1 THEN 'rare' ELSE 'common' END, '{NOW}'::timestamptz - n * interval '1 second',
           'large', CASE n % 4000 WHEN 1 THEN 'seldom' ELSE 'always' END, '{{}}'
    FROM generate_series(1, {EVENTS}) AS n"""
OLDEST = {"given_before_at": "2026-11-15 06:30:00+00", "given_before_position": "0"}
NEWEST = {"given_before_at": NOW, "given_before_position": "0"}
FILTERS = {
    "none": (False, False),
    "rare type": (False, True),
    "rare actor": (True, False),
    "common actor, rare type": (True, True),
}
VALUES = {
    "none": {},
    "rare type": {"given_type": "rare"},
    "rare actor": {"given_actor": "seldom"},
    "common actor, rare type": {"given_actor": "always", "given_type": "rare"},
}


@pytest.fixture
async def database(fresh_database: Database) -> Database:
    await execute(
        fresh_database, "CREATE TABLE IF NOT EXISTS account.events_rest PARTITION OF account.events DEFAULT"
    )
    await execute(fresh_database, FILL)
    await execute(fresh_database, "ANALYZE account.events")
    return fresh_database


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begin", [NEWEST, OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("asked", FILTERS)
async def test_no_other_event_is_read(
    database: Database, asked: str, begin: dict[str, str], mode: str
) -> None:
    assert await read_of(database, asked, begin, mode) <= FEW_BLOCKS


@pytest.mark.parametrize("asked", [asked for asked in FILTERS if asked != "none"])
async def test_without_the_indexes_a_filter_reads_many(database: Database, asked: str) -> None:
    for index in ("ix_events_type", "ix_events_actor", "ix_events_actor_type"):
        await execute(database, f"DROP INDEX account.{index}")
    assert await read_of(database, asked, NEWEST, "force_generic_plan") > 3 * FEW_BLOCKS


async def read_of(database: Database, asked: str, begin: dict[str, str], mode: str) -> int:
    """The blocks of events that a page of three is read from."""
    values: dict[str, Any] = {
        "given_tenant_id": "large",
        "given_since": "0001-01-01 00:00:00+00",
        "given_limit": "3",
        **begin,
        **VALUES[asked],
    }
    return await blocks_read(database, OF_TENANT[FILTERS[asked]], values, table="events", mode=mode)
