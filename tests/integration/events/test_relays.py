"""Relays that are killed, stand still, work side by side: each event at least once, first ones in order."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.nats import Stored
from support.relays import Site, relay_process, turn
from support.seed import scalar

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.message import Message, message_of
from hoc.events.nats import JetStreamPublisher
from hoc.events.relay import Relay

# As patterns in the SQL that is sent, and what stands there once the mechanism is gone.
TURN = (r"FOR UPDATE SKIP LOCKED$", "")

FORGOTTEN_SECONDS = 0.1
"""After this JetStream takes the same message again."""

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


async def make_forgetful(site: Site) -> None:
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], duplicate_window=FORGOTTEN_SECONDS)


def first_ones(messages: Sequence[Stored]) -> list[Stored]:
    """What is left to a consumer that drops the ids it has seen."""
    seen = dict[str, Stored]()
    for message in messages:
        seen.setdefault(message.message_id, message)
    return [*seen.values()]


def names_by_user(messages: Sequence[Stored]) -> dict[str, list[str]]:
    names = defaultdict[str, list[str]](list)
    for message in messages:
        if message.subject == "user.profile_updated":
            names[message.data["user_id"]].append(message.data["name"])
    return names


def numbered(event: EventResult, source: str) -> Message:
    """Take out that a message's id is the event's."""
    return message_of(replace(event, event_id=str(uuid.uuid4())), source)


@in_place_and_taken_out
async def test_what_a_killed_relay_had_sent_is_known_by_its_id(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Killed when all was acknowledged and the cursor had yet to move."""
    await make_forgetful(site)
    ada, bob = await site.world.add_user(), await site.world.add_user()
    await site.rename(ada, "one", "two", "three")
    await site.rename(bob, "one", "two", "three")
    with relay_process(site, after=8) as process:
        await process.until_stopped()
        process.kill()
    killed = await site.nats.stored()
    assert len(killed) == 8
    assert (await site.status()).unpublished == 8
    await asyncio.sleep(2 * FORGOTTEN_SECONDS)
    if taken_out:
        monkeypatch.setattr("hoc.events.sending.message_of", numbered)
    await site.rename(ada, "four")
    async with site.relay() as relay:
        await turn(relay)
    stored = await site.nats.stored()
    assert len(stored) == 17, "everything again, for no relay knows that it was sent"
    recorded = {event.event_id for event in await site.world.events()}
    assert ({message.message_id for message in stored} == recorded) is not taken_out
    assert all(message.headers["ce-id"] == message.message_id for message in stored)
    seen = first_ones(stored)
    assert len(seen) == (17 if taken_out else 9)
    if not taken_out:
        in_order = {ada: ["one", "two", "three", "four"], bob: ["one", "two", "three"]}
        assert names_by_user(seen) == in_order


async def test_what_a_killed_relay_had_sent_is_dropped_while_jetstream_knows_it(site: Site) -> None:
    user = await site.world.add_user()
    await site.rename(user, "one", "two", "three")
    with relay_process(site, after=3) as process:
        await process.until_stopped()
        process.kill()
    assert await site.names() == [(user, "one"), (user, "two")]
    async with site.relay() as relay:
        await turn(relay)
    assert await site.names() == [(user, "one"), (user, "two"), (user, "three")]


async def test_a_relay_that_stands_still_loses_its_turn_and_disturbs_no_order(site: Site) -> None:
    await make_forgetful(site)
    ada, bob = await site.world.add_user(), await site.world.add_user()
    await site.rename(ada, "one", "two", "three")
    await site.rename(bob, "one")
    # Its third wave is about to leave: bob is told of, ada's second name is next.
    with relay_process(site, before=5) as process:
        await process.until_stopped()
        async with site.relay(poll_seconds=0.05) as relay, relay.running():
            await site.until_named(ada, "three")
            await site.rename(ada, "four")
            await site.rename(bob, "two")
            await site.until_published()
        await asyncio.sleep(2 * FORGOTTEN_SECONDS)
        process.resume()
        await site.until_named(ada, "two", times=2)
        await site.rename(ada, "five")
        await site.until_named(ada, "five")
    names = names_by_user(first_ones(await site.nats.stored()))
    assert names == {ada: ["one", "two", "three", "four", "five"], bob: ["one", "two"]}


class HeldPublisher:
    """Waits until it is let go, each time it is asked to publish."""

    is_connected = True

    def __init__(self, publisher: JetStreamPublisher) -> None:
        self._publisher = publisher
        self.is_reached, self.released = asyncio.Event(), asyncio.Event()

    async def publish(self, message: Message) -> None:
        self.is_reached.set()
        await self.released.wait()
        await self._publisher.publish(message)


@in_place_and_taken_out
async def test_the_cursor_never_goes_back(site: Site, *, taken_out: bool) -> None:
    """While one relay publishes another does not, and so is not undone by it."""
    mechanisms = [TURN] if taken_out else []
    user = await site.world.add_user()
    cursor = "SELECT sequence FROM account.event_cursors WHERE name = 'nats'"
    async with site.connected(*mechanisms) as (database, connection), site.relay(*mechanisms) as other:
        held = HeldPublisher(JetStreamPublisher(connection, stream="ACCOUNTS"))
        one = Relay(database, held, source="urn:test:accounts")
        await one.sequence_events()
        turn_of_one = asyncio.create_task(one.publish())
        await held.is_reached.wait()
        await site.rename(user, "one", "two")
        await turn(other)
        assert await site.names() == ([(user, "one"), (user, "two")] if taken_out else [])
        held.released.set()
        await turn_of_one
        assert await scalar(site.database, cursor) == 1, "as far as the first had read"
        await turn(other)
        assert await scalar(site.database, cursor) == 3
    assert await site.names() == [(user, "one"), (user, "two")]


async def test_two_relays_keep_the_order_of_each_user_and_each_tenant(site: Site) -> None:
    """With writers that share tenants, and users that are in several."""
    owners = [await site.world.add_user() for _ in range(3)]
    tenants = [(await site.world.tenant(owner))[0] for owner in owners for _ in range(2)]
    steps = range(1, 5)

    async def advance(tenant_id: str) -> None:
        for step in steps:
            async with site.database.transaction() as session:
                await site.world.engines.projects.advance_onboarding(session, tenant_id, step)

    async with (
        site.relay(poll_seconds=0.01, batch=20) as one,
        site.relay(poll_seconds=0.01, batch=20) as other,
        one.running(),
        other.running(),
    ):
        names = [f"N{number}" for number in range(40)]
        await asyncio.gather(
            *(site.rename(owner, *names) for owner in owners), *(advance(tenant_id) for tenant_id in tenants)
        )
        await site.until_published()
    stored = await site.nats.stored()
    assert len({message.message_id for message in stored}) == len(stored) == len(await site.world.events())
    assert names_by_user(stored) == dict.fromkeys(owners, names)
    for tenant_id in tenants:
        of_tenant = [message for message in stored if message.headers["ce-subject"] == tenant_id]
        assert [message.subject for message in of_tenant[:2]] == ["tenant.created", "member.joined"]
        assert [message.data.get("onboarding_state") for message in of_tenant[2:]] == [*steps]
    for key in ("user_id", "tenant_id"):
        sequences = defaultdict[str, list[str]](list)
        for message in stored:
            sequences[message.data.get(key, "")].append(message.headers["ce-sequence"])
        del sequences[""]
        assert all(numbers == sorted(numbers) for numbers in sequences.values())
