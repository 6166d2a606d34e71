"""The sequence of events has no gaps, is in partitions, and is the same for every reader."""

import asyncio
from datetime import UTC, datetime

import pytest
from support.relays import Site, in_place_and_taken_out, run_once, sequencer
from support.seed import execute, scalar

from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L6_drivers.event_log import SqlEventLog
from hoc.events.relay import Relay

# The replacement takes the number at insertion in place of the one at sequencing.
NUMBER_BEFORE_COMMIT = (
    r"cursor\.sequence \+ row_number\(\) OVER \(ORDER BY taken\.position\)",
    "taken.position",
)

WRITE = "INSERT INTO account.outbox (type, time, user_id, payload) VALUES ('user.created', :at, :user, '{}')"
SEQUENCES = "SELECT coalesce(array_agg(sequence ORDER BY sequence), '{}') FROM account.events"
MONTHS = (
    "SELECT array_agg(c.relname::text ORDER BY c.relname) FROM pg_inherits i"
    " JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'account.events'::regclass AND c.relname > 'events_2031'"
)


async def write(site: Site, user: str, at: datetime | None = None) -> None:
    await execute(site.database, WRITE, at=at or datetime.now(UTC), user=user)


async def test_each_month_gets_its_partition_when_it_is_needed(site: Site) -> None:
    times = [datetime(2031, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2032, 1, 1, tzinfo=UTC)]
    for at in times:
        await write(site, "ada", at)
    await asyncio.gather(*(sequencer(site.database).sequence_events() for _ in range(2)))
    while await sequencer(site.database).sequence_events():
        pass
    assert await scalar(site.database, SEQUENCES) == [1, 2]
    assert await scalar(site.database, MONTHS) == ["events_2031_12", "events_2032_01"]


async def test_a_round_lets_events_gather_unless_more_are_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.events.relay.GATHER_SECONDS", 3_600)
    await write(site, "ada")
    gathering = asyncio.create_task(sequencer(site.database).sequence_events())
    done, _ = await asyncio.wait({gathering}, timeout=1)
    assert await scalar(site.database, SEQUENCES) == [1], "the first has its number at once"
    assert not done
    gathering.cancel()
    await write(site, "bea")
    async with asyncio.timeout(10):
        assert await sequencer(site.database, batch=1).sequence_events()
    assert await scalar(site.database, SEQUENCES) == [1, 2]


async def test_relays_side_by_side_number_without_gaps(site: Site) -> None:
    total = 300
    await write(site, "first")
    await sequencer(site.database).sequence_events()

    async def writing(number: int) -> None:
        for _ in range(total // 3):
            await write(site, f"user-{number}")

    async def relaying(relay: Relay) -> None:
        while await scalar(site.database, "SELECT count(*) FROM account.events") != total + 1:
            await relay.sequence_events()

    async with site.connected() as (one, _), site.connected() as (other, _):
        relays = sequencer(one, batch=7), sequencer(other, batch=11)
        await asyncio.gather(*map(writing, range(3)), *map(relaying, relays))
    assert await scalar(site.database, SEQUENCES) == list(range(1, total + 2))
    assert await scalar(site.database, "SELECT count(DISTINCT event_id) FROM account.events") == total + 1


@in_place_and_taken_out
async def test_no_event_appears_before_a_readers_position(site: Site, *, taken_out: bool) -> None:
    feed = EventFeed(SqlEventLog())
    async with site.relay(*[NUMBER_BEFORE_COMMIT] if taken_out else []) as relay:
        await write(site, "zero")
        await run_once(relay)
        async with site.world.session() as session:
            late = await site.world.add_user()
            await run_once(relay)
            await site.world.facade.update_profile(session, late, display_name="late")
            await write(site, "early")
            await run_once(relay)
            async with site.database.reading() as reading:
                seen = await feed.read(reading)
            await session.commit()
        await run_once(relay)
    async with site.database.reading() as reading:
        then = await feed.read(reading, after=seen.next_after)
    assert [event.user_id for event in then.events] == ([] if taken_out else [late])
