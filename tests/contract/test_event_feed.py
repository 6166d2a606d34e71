"""The feed in memory, where an event is numbered when it is committed."""

import pytest
from support.world import MemoryWorld

from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.testing.events import MemoryEventLog


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld()


@pytest.fixture
def feed(world: MemoryWorld) -> EventFeed:
    return EventFeed(MemoryEventLog(world.database))


async def test_every_event_is_read_once_in_its_order(world: MemoryWorld, feed: EventFeed) -> None:
    await world.team()
    await world.team()
    everything = await world.events()
    assert [event.sequence for event in everything] == [*range(1, len(everything) + 1)]
    after, read = 0, list[EventResult]()
    async with world.reading() as session:
        while (stretch := await feed.read(session, after=after, limit=7)).events:
            read += stretch.events
            after = stretch.next_after
        assert stretch.next_after == after == len(everything)
        assert (await feed.read(session)).events == everything
    assert read == everything


async def test_the_feed_continues_where_it_ended(world: MemoryWorld, feed: EventFeed) -> None:
    async with world.reading() as session:
        empty = await feed.read(session)
        assert (empty.events, empty.next_after) == ([], 0)
        user_id = await world.add_user()
        [event] = (await feed.read(session, after=empty.next_after)).events
        assert (event.type, event.user_id, event.sequence) == ("user.created", user_id, 1)


async def test_nothing_is_read_before_it_is_committed(world: MemoryWorld, feed: EventFeed) -> None:
    user_id = await world.add_user()
    async with world.session() as session:
        await world.facade.update_profile(session, user_id, display_name="Ada")
        assert len((await feed.read(session)).events) == 1, "not even by who writes it: it may yet go"
        await session.rollback()
        await world.facade.update_profile(session, user_id, display_name="Eve")
        await session.commit()
        assert [event.sequence for event in (await feed.read(session)).events] == [1, 2]


async def test_a_feeds_events_are_copies(world: MemoryWorld, feed: EventFeed) -> None:
    await world.add_user()
    before = await world.events()
    async with world.reading() as session:
        (await feed.read(session)).events[0].data.clear()
    assert await world.events() == before


@pytest.mark.parametrize(
    ("name", "value"), [("after", -1), ("after", 2**63), ("limit", 0), ("limit", 101), ("limit", -1)]
)
async def test_bad_input_is_refused(world: MemoryWorld, feed: EventFeed, name: str, value: int) -> None:
    async with world.reading() as session:
        with pytest.raises(InvalidInputError, match=name):
            await feed.read(session, **{name: value})
