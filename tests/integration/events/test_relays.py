"""Relays that are killed, that hang, and that run side by side publish each event at least once, in order."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.nats import Stored
from support.relays import Site, in_place_and_taken_out, relay_process, run_once
from support.seed import scalar

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.message import Message, message_of
from hoc.events.nats import JetStreamPublisher
from hoc.events.relay import Relay

# Patterns in the SQL that is sent, and their replacements, which take the mechanism out.
CURSOR_LOCK = (r"FOR UPDATE SKIP LOCKED$", "")

FORGOTTEN_SECONDS = 0.1
"""After this JetStream accepts the same id again."""


async def make_forgetful(site: Site) -> None:
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], duplicate_window=FORGOTTEN_SECONDS)


def first_ones(messages: Sequence[Stored]) -> list[Stored]:
    """The messages that a consumer handles which drops duplicate ids."""
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
async def test_a_killed_relays_events_are_repeated_with_their_ids(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """It is killed after all acknowledgements, before the cursor moves."""
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
        await run_once(relay)
    stored = await site.nats.stored()
    assert len(stored) == 17, "all are repeated, because no relay knows that they were sent"
    recorded = {event.event_id for event in await site.world.events()}
    assert ({message.message_id for message in stored} == recorded) is not taken_out
    assert all(message.headers["ce-id"] == message.message_id for message in stored)
    seen = first_ones(stored)
    assert len(seen) == (17 if taken_out else 9)
    if not taken_out:
        in_order = {ada: ["one", "two", "three", "four"], bob: ["one", "two", "three"]}
        assert names_by_user(seen) == in_order


async def test_jetstream_drops_a_killed_relays_repeated_events(site: Site) -> None:
    user = await site.world.add_user()
    await site.rename(user, "one", "two", "three")
    with relay_process(site, after=3) as process:
        await process.until_stopped()
        process.kill()
    assert await site.names() == [(user, "one"), (user, "two")]
    async with site.relay() as relay:
        await run_once(relay)
    assert await site.names() == [(user, "one"), (user, "two"), (user, "three")]


async def test_a_relay_that_hangs_disturbs_no_order(site: Site) -> None:
    await make_forgetful(site)
    ada, bob = await site.world.add_user(), await site.world.add_user()
    await site.rename(ada, "one", "two", "three")
    await site.rename(bob, "one")
    # It hangs before its third wave: bob's event is published, and ada's second name is next.
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
    """Publishes once it is released."""

    is_connected = True

    def __init__(self, publisher: JetStreamPublisher) -> None:
        self._publisher = publisher
        self.is_reached, self.released = asyncio.Event(), asyncio.Event()

    async def publish(self, message: Message) -> None:
        self.is_reached.set()
        await self.released.wait()
        await self._publisher.publish(message)

    async def publish_together(self, messages: Sequence[Message]) -> bool:  # noqa: ARG002 - as in the port
        return False


@in_place_and_taken_out
async def test_the_cursor_never_goes_back(site: Site, *, taken_out: bool) -> None:
    """While one relay publishes, another does not, so that neither undoes the other's progress."""
    mechanisms = [CURSOR_LOCK] if taken_out else []
    user = await site.world.add_user()
    cursor = "SELECT sequence FROM account.event_cursors WHERE name = 'nats'"
    async with site.connected(*mechanisms) as (database, connection), site.relay(*mechanisms) as other:
        held = HeldPublisher(JetStreamPublisher(connection, stream="ACCOUNTS"))
        one = Relay(database, held, source="urn:test:accounts")
        await one.sequence_events()
        first_round = asyncio.create_task(one.publish())
        await held.is_reached.wait()
        await site.rename(user, "one", "two")
        await run_once(other)
        assert await site.names() == ([(user, "one"), (user, "two")] if taken_out else [])
        held.released.set()
        await first_round
        assert await scalar(site.database, cursor) == 1, "the end of the first relay's batch"
        await run_once(other)
        assert await scalar(site.database, cursor) == 3
    assert await site.names() == [(user, "one"), (user, "two")]


async def test_two_relays_keep_each_users_and_tenants_order(site: Site) -> None:
    """Writers share tenants, and users belong to several."""
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
