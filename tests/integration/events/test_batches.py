"""One tenant's events go out together, and stay in order whatever happens to one of them or to the relay."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from support.nats import STREAM
from support.outage import Proxy
from support.relays import Site, in_place_and_taken_out, publish_all, relay_process
from support.seed import execute

from hoc.concurrency.background import in_background
from hoc.events.message import Message
from hoc.events.nats import SUBJECTS
from hoc.events.publisher import PublisherUnavailableError
from hoc.events.relay import Relay

COUNT = 32
FOREIGN = 200
_TYPES = "ARRAY['ticket.created', 'ticket.created', 'user.profile_updated', 'invitation.created']"
_WRITE = f"""
    INSERT INTO account.outbox (type, time, tenant_id, payload)
        SELECT ({_TYPES})[1 + number % 4], now(), 'acme', json_build_object('number', number)
        FROM generate_series(1, {COUNT}) AS number ORDER BY number"""


async def write(site: Site, relay: Relay | None = None) -> None:
    """Write events of one tenant with three subjects in turn, and have the relay number them."""
    await execute(site.database, _WRITE)
    if relay is not None:
        while await relay.sequence_events():
            pass


async def published(site: Site, *, only_batches: bool = False) -> list[int]:
    """The sequence numbers of hoc's events in the stream, in the stream's order."""
    needed = {"ce-sequence", "Nats-Batch-Id"} if only_batches else {"ce-sequence"}
    stored = await site.nats.stored()
    return [int(message.headers["ce-sequence"]) for message in stored if needed <= message.headers.keys()]


async def pipeline(client: Client, stream: str, messages: Sequence[Message], *, seconds: float) -> None:
    """Take out that a batch is atomic: send all at once, whatever happens to one of them."""

    async def send(message: Message) -> bool:
        headers = message.headers | {"Nats-Expected-Stream": stream}
        answer = await client.request(message.subject, message.data, seconds, headers=headers)
        return "error" not in orjson.loads(answer.data)

    sent = await asyncio.gather(*map(send, messages), return_exceptions=True)
    if not all(outcome is True for outcome in sent):
        raise PublisherUnavailableError("Not all are stored.")


REFUSALS: dict[str, dict[str, Any]] = {
    "a subject that the stream lacks": {"subjects": [each for each in SUBJECTS if each != "ticket.*"]},
    "a subject that is full": {
        "max_msgs_per_subject": COUNT // 2 + 1,
        "discard": "new",
        "discard_new_per_subject": True,
    },
}


@pytest.mark.parametrize("refusal", REFUSALS)
@in_place_and_taken_out
async def test_events_behind_a_refused_one_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch, refusal: str, *, taken_out: bool
) -> None:
    if taken_out:
        monkeypatch.setattr("hoc.events.nats.publish_batch", pipeline)
    async with site.relay() as relay, site.nats.jetstream() as jetstream:
        await write(site, relay)
        await publish_all(site, relay)
        usual = (await jetstream.stream_info(STREAM)).config
        await write(site, relay)
        await jetstream.update_stream(
            (await jetstream.stream_info(STREAM)).config.evolve(**REFUSALS[refusal])
        )
        await relay.publish()
        if "full" in refusal:
            await jetstream.update_stream(usual)
        await publish_all(site, relay)
    in_order = list(range(1, 2 * COUNT + 1))
    found = await published(site)
    assert (found == in_order) is not taken_out
    assert sorted(found) == in_order


@asynccontextmanager
async def foreign_publisher(site: Site) -> AsyncGenerator[None]:
    """Another program publishes into hoc's stream during the block."""

    async def publish() -> None:
        async with site.nats.jetstream() as jetstream:
            for number in range(FOREIGN):
                await jetstream.publish("user.foreign", b"{}", headers={"Nats-Msg-Id": f"foreign-{number}"})

    async with in_background(publish, name="foreign-publisher"):
        yield


async def test_another_publisher_on_the_stream_breaks_no_batch(site: Site) -> None:
    async with site.relay(batch=COUNT) as relay:
        await write(site, relay)
        await publish_all(site, relay)
        async with foreign_publisher(site):
            for _ in range(5):
                await write(site, relay)
            await publish_all(site, relay)
    assert await published(site, only_batches=True) == list(range(1, 6 * COUNT + 1))
    assert await site.nats.count() > 6 * COUNT, "the other one published too"


async def test_a_batch_that_is_cut_off_is_stored_once_and_in_order(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks at the first message, in the middle, and before the commit's last bytes."""
    monkeypatch.setattr("hoc.events.nats.RECONNECT_SECONDS", 0.02)
    monkeypatch.setattr("hoc.events.nats.BATCH_SECONDS", 1.0)
    proxy = Proxy("127.0.0.1", site.nats.port)
    await proxy.connect()
    async with site.relay(nats_url=f"nats://127.0.0.1:{proxy.port}") as relay:
        for sent in (200, 9_000, 18_000):
            await write(site, relay)
            proxy.cut_after(sent)
            await publish_all(site, relay)
    await proxy.cut()
    assert await published(site) == list(range(1, 3 * COUNT + 1))


async def test_a_batch_that_hangs_is_stored_once_and_in_order(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS stores the batch after the relay has sent its events again."""
    monkeypatch.setattr("hoc.events.nats.BATCH_SECONDS", 0.2)
    monkeypatch.setattr("hoc.events.nats.PUBLISH_SECONDS", 0.2)
    async with site.relay() as relay:
        await write(site, relay)
        await publish_all(site, relay)
        await write(site, relay)
        site.nats.pause()
        await relay.publish()
        await relay.publish()
        assert (await site.status()).unpublished == COUNT
        site.nats.resume()
        await publish_all(site, relay)
    assert await published(site) == list(range(1, 2 * COUNT + 1))


async def test_a_relay_killed_after_a_batch_repeats_no_event(site: Site) -> None:
    await write(site)
    with relay_process(site, after=1) as process:
        await process.until_stopped()
        process.kill()
    assert (await site.status()).unpublished == COUNT
    async with site.relay() as relay:
        await write(site, relay)
        await publish_all(site, relay)
    assert await published(site) == list(range(1, 2 * COUNT + 1))


async def test_a_stream_without_batches_gets_all_events(site: Site) -> None:
    """Its events go out one by one if the server does not let hoc change it."""
    async with site.nats.jetstream() as jetstream, site.relay() as relay:
        await jetstream.add_stream(name=STREAM, subjects=SUBJECTS)
        await write(site, relay)
        await publish_all(site, relay)
        config = (await jetstream.stream_info(STREAM)).config
        assert config.allow_atomic, "hoc lets an older stream accept batches"
        await jetstream.update_stream(config.evolve(allow_atomic=False))
        await write(site, relay)
        await publish_all(site, relay)
    assert await published(site) == list(range(1, 2 * COUNT + 1))
    assert await published(site, only_batches=True) == list(range(1, COUNT + 1))
