"""One relay at a time numbers events. A reader of both tables sees each event once."""

import asyncio
from typing import Any

from support.races import meeting
from support.relays import Site, in_place_and_taken_out, sequencer
from support.seed import scalar
from support.waiting import until

from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing

# Patterns in the SQL that is sent, and their replacements, which take the mechanism out.
ONE_AT_A_TIME = (r"FOR UPDATE SKIP LOCKED\)", ")")
BOTH_TABLES = (r"FROM account\.outbox\s+WHERE ", "FROM account.outbox WHERE false AND ")

# The statement waits after it has taken its snapshot, and before it locks the cursor.
HESITATION = (
    r"(FROM account\.event_cursors\s+WHERE )(.*FOR UPDATE)",
    r"\1(SELECT pg_advisory_xact_lock(7)) IS NOT NULL AND \2",
)
HESITATING = "SELECT pg_advisory_xact_lock(7)"

SEQUENCES = "SELECT array_agg(sequence ORDER BY position) FROM account.events"
CURSOR = "SELECT sequence FROM account.event_cursors WHERE name = 'sequenced'"


@in_place_and_taken_out
async def test_two_relays_never_give_the_same_number(site: Site, *, taken_out: bool) -> None:
    await site.write_event("ada", "zero")
    async with site.connected(*[ONE_AT_A_TIME] if taken_out else []) as (database, _):
        other = sequencer(database)
        await other.sequence_events()
        await site.write_event("ada", "one")
        async with site.database.transaction() as session:
            assert await SqlEventSequencing().sequence_events(session, 500) == 1
            await site.write_event("ada", "two")
            at_the_same_time = asyncio.create_task(other.sequence_events())
            if taken_out:
                await until_waiting(site)
            else:
                assert not await at_the_same_time
        assert await at_the_same_time is taken_out
    await sequencer(site.database).sequence_events()
    assert await scalar(site.database, SEQUENCES) == ([1, 2, 2] if taken_out else [1, 2, 3])


async def until_waiting(site: Site) -> None:
    """Return once a statement waits for another transaction."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def is_waiting() -> bool:
        return await scalar(site.database, waiting) == 1

    await until(is_waiting)


async def test_a_relay_with_an_old_snapshot_continues_the_numbers(site: Site) -> None:
    await site.write_event("ada", "zero")
    await sequencer(site.database).sequence_events()
    async with site.connected(HESITATION) as (database, _):
        await site.write_event("ada", "one")
        await site.write_event("ada", "two")
        async with meeting(site.url, HESITATING) as held:
            hesitating = await held.join(sequencer(database).sequence_events())
            assert not hesitating.done()
            # The other relay takes the first event of its snapshot, and one more event is written.
            await sequencer(site.database, batch=1).sequence_events()
            await site.write_event("ada", "three")
        assert await hesitating
    assert await scalar(site.database, SEQUENCES) == [1, 2, 3]
    assert await scalar(site.database, CURSOR) == 3
    await sequencer(site.database).sequence_events()
    assert await scalar(site.database, SEQUENCES) == [1, 2, 3, 4]


@in_place_and_taken_out
async def test_the_trail_has_each_event_once_numbered_or_not(site: Site, *, taken_out: bool) -> None:
    tenant_id, owner = await site.world.tenant()
    async with site.connected(*[BOTH_TABLES] if taken_out else []) as (database, _):

        async def trail() -> list[Any]:
            async with database.reading() as session:
                page = await site.world.engines.audit.list(session, tenant_id, owner)
            return [event.event_id for event in page.value.events]

        before = await trail()
        await sequencer(site.database).sequence_events()
        sequenced = await trail()
        async with site.database.transaction() as session:
            await site.world.engines.projects.advance_onboarding(session, tenant_id, 1)
        both = await trail()
    assert len(sequenced) == 2, "the tenant was created, and its owner joined"
    assert before == ([] if taken_out else sequenced)
    assert both[-2:] == sequenced
    assert len(set(both)) == len(both) == (2 if taken_out else 3)
