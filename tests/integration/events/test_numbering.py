"""One relay at a time gives the numbers; who reads both tables sees each event in one of them."""

import asyncio
from typing import Any

import pytest
from support.races import meeting
from support.relays import Site
from support.seed import scalar
from support.waiting import until

from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.database import Database
from hoc.events.relay import Relay

# As patterns in the SQL that is sent, and what stands there once the mechanism is gone.
ONE_AT_A_TIME = (r"FOR UPDATE SKIP LOCKED\)", ")")
BOTH_TABLES = (r"FROM account\.outbox\s+WHERE ", "FROM account.outbox WHERE false AND ")

# The statement has taken its snapshot, and has yet to lock the cursor.
HESITATION = (
    r"(FROM account\.event_cursors\s+WHERE )(.*FOR UPDATE)",
    r"\1(SELECT pg_advisory_xact_lock(7)) IS NOT NULL AND \2",
)
HESITATING = "SELECT pg_advisory_xact_lock(7)"

SEQUENCES = "SELECT array_agg(sequence ORDER BY position) FROM account.events"
CURSOR = "SELECT sequence FROM account.event_cursors WHERE name = 'sequenced'"

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


def lining(database: Database, *, batch: int = 500) -> Relay:
    return Relay(database, None, source="urn:test", batch=batch)


@in_place_and_taken_out
async def test_two_relays_never_give_the_same_number(site: Site, *, taken_out: bool) -> None:
    await site.tell("ada", "zero")
    async with site.connected(*[ONE_AT_A_TIME] if taken_out else []) as (database, _):
        other = lining(database)
        await other.sequence_events()
        await site.tell("ada", "one")
        async with site.database.transaction() as session:
            assert await SqlEventSequencing().sequence_events(session, 500) == 1
            await site.tell("ada", "two")
            at_the_same_time = asyncio.create_task(other.sequence_events())
            if taken_out:
                await until_waiting(site)
            else:
                assert not await at_the_same_time
        assert await at_the_same_time is taken_out
    await lining(site.database).sequence_events()
    assert await scalar(site.database, SEQUENCES) == ([1, 2, 2] if taken_out else [1, 2, 3])


async def until_waiting(site: Site) -> None:
    """Until a statement waits for the transaction that another has open."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def is_waiting() -> bool:
        return await scalar(site.database, waiting) == 1

    await until(is_waiting)


async def test_a_relay_that_looked_before_another_numbers_on_from_there(site: Site) -> None:
    await site.tell("ada", "zero")
    await lining(site.database).sequence_events()
    async with site.connected(HESITATION) as (database, _):
        await site.tell("ada", "one")
        await site.tell("ada", "two")
        async with meeting(site.url, HESITATING) as held:
            hesitating = await held.join(lining(database).sequence_events())
            assert not hesitating.done()
            # The first of those that it has seen is taken, and there is one more that it has not.
            await lining(site.database, batch=1).sequence_events()
            await site.tell("ada", "three")
        assert await hesitating
    assert await scalar(site.database, SEQUENCES) == [1, 2, 3]
    assert await scalar(site.database, CURSOR) == 3
    await lining(site.database).sequence_events()
    assert await scalar(site.database, SEQUENCES) == [1, 2, 3, 4]


@in_place_and_taken_out
async def test_an_event_is_in_the_trail_once_whether_in_line_or_not(site: Site, *, taken_out: bool) -> None:
    tenant_id, owner = await site.world.tenant()
    async with site.connected(*[BOTH_TABLES] if taken_out else []) as (database, _):

        async def trail() -> list[Any]:
            async with database.reading() as session:
                page = await site.world.engines.audit.list(session, tenant_id, owner)
            return [event.event_id for event in page.value.events]

        before = await trail()
        await lining(site.database).sequence_events()
        sequenced = await trail()
        async with site.database.transaction() as session:
            await site.world.engines.projects.advance_onboarding(session, tenant_id, 1)
        both = await trail()
    assert len(sequenced) == 2, "that the tenant was created, and that its owner joined"
    assert before == ([] if taken_out else sequenced)
    assert both[-2:] == sequenced
    assert len(set(both)) == len(both) == (2 if taken_out else 3)
