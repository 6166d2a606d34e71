"""An event that cannot be published becomes a dead letter with a reason, and holds up no other for long."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from unittest.mock import ANY

import pytest
from support.relays import Site, in_place_and_taken_out, run_once
from support.seed import execute, scalar

from hoc.events.message import Message
from hoc.events.publisher import PublisherUnavailableError
from hoc.events.relay import Relay
from hoc.events.sending import MAX_FAILURES, Sender, Sent

LARGE = "x" * 4_000
ROOM = 2_048


class Failing:
    """A publisher that fails for events of ``users``, or for all events if that is None."""

    is_connected = True

    def __init__(self, users: set[str] | None = None) -> None:
        self.users = users
        self.published: list[bytes] = []

    async def publish(self, message: Message) -> None:
        if self.users is None or any(user.encode() in message.data for user in self.users):
            raise PublisherUnavailableError("It may have been stored.")
        self.published.append(message.data)

    async def publish_together(self, messages: Sequence[Message]) -> bool:  # noqa: ARG002 - as in the port
        return False


async def reasons(site: Site) -> list[str]:
    query = "SELECT array_agg(reason ORDER BY sequence) FROM account.dead_events"
    found: Any = await scalar(site.database, query)
    return list(found or [])


async def retry_all(site: Site) -> None:
    await execute(site.database, "UPDATE account.dead_events SET retry = true")


@pytest.fixture
async def relay(site: Site) -> AsyncGenerator[Relay]:
    """A relay with a batch of two, which two events that stay would block."""
    async with site.relay(batch=2) as relay:
        yield relay


async def rounds(relay: Relay, count: int = 6) -> None:
    for _ in range(count):
        await run_once(relay)


def retry_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out that a refused message is not retried."""
    monkeypatch.setattr("hoc.events.sending.MessageRefusedError", _Never)
    monkeypatch.setattr("hoc.events.sending.MAX_FAILURES", 1_000)


class _Never(Exception): ...  # noqa: N818 - never raised


async def write_poison(site: Site) -> None:
    await site.write_event("ada", "before")
    await site.write_event("ada", LARGE)
    await site.write_event("bob", "small")
    for number in range(3):
        await site.write_event("ada", f"after {number}")
        await site.write_event("eve", f"after {number}")


OTHERS = [("ada", "before"), ("bob", "small")] + [
    (user, f"after {number}") for number in range(3) for user in ("ada", "eve")
]


@in_place_and_taken_out
async def test_an_event_too_large_for_the_server_is_a_dead_letter(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    site.nats.stop()
    site.nats.start(max_payload=ROOM)
    if taken_out:
        retry_forever(monkeypatch)
    await write_poison(site)
    async with site.relay(batch=2) as relay:
        await rounds(relay)
    if taken_out:
        assert ("ada", "after 0") not in await site.names()
        return
    assert sorted(await site.names()) == sorted(OTHERS)
    [reason] = await reasons(site)
    assert reason.endswith(f"bytes, but the server accepts {ROOM}")
    assert (await site.status()).dead == 1
    assert (await site.status()).unpublished == 0
    async with site.relay() as relay:
        await retry_all(site)
        await run_once(relay)
        assert len(await reasons(site)) == 1, "it is still too large"
        assert not await scalar(site.database, "SELECT retry FROM account.dead_events")
    site.nats.stop()
    site.nats.start()
    async with site.relay() as relay:
        await run_once(relay)
        assert len(await reasons(site)) == 1, "no retry was requested"
        await retry_all(site)
        await run_once(relay)
    assert await reasons(site) == []
    assert (await site.names())[-1] == ("ada", LARGE)


@in_place_and_taken_out
async def test_an_event_too_large_for_the_stream_is_a_dead_letter(
    site: Site, monkeypatch: pytest.MonkeyPatch, relay: Relay, *, taken_out: bool
) -> None:
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], max_msg_size=ROOM)
        if taken_out:
            retry_forever(monkeypatch)
        await write_poison(site)
        await rounds(relay)
        if taken_out:
            assert ("ada", "after 0") not in await site.names()
            return
        assert sorted(await site.names()) == sorted(OTHERS)
        [reason] = await reasons(site)
        assert reason == "message size exceeds maximum allowed"
        config = (await jetstream.stream_info("ACCOUNTS")).config
        config.max_msg_size = -1
        await jetstream.update_stream(config)
    await retry_all(site)
    await run_once(relay)
    assert await reasons(site) == []
    assert (await site.names())[-1] == ("ada", LARGE)


async def test_a_retried_event_goes_before_later_ones(site: Site) -> None:
    async with site.nats.jetstream() as jetstream, site.relay() as relay:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], max_msg_size=ROOM)
        await site.write_event("ada", LARGE)
        await run_once(relay)
        await jetstream.delete_stream("ACCOUNTS")
        await retry_all(site)
        await site.write_event("ada", "later")
        await run_once(relay)
        assert await site.names() == []
        await run_once(relay)
    assert await site.names() == [("ada", LARGE), ("ada", "later")]
    assert await reasons(site) == []


@in_place_and_taken_out
async def test_an_event_that_alone_keeps_failing_is_a_dead_letter(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    if taken_out:
        monkeypatch.setattr("hoc.events.sending.MAX_FAILURES", 1_000)
    publisher = Failing({"ada"})
    relay = Relay(site.database, publisher, source="urn:test:accounts")
    await site.write_event("ada", "fails")
    await site.write_event("ada", "waits behind it")
    await site.write_event("bob", "gets through")
    await rounds(relay, MAX_FAILURES - 1)
    assert await reasons(site) == []
    assert (await site.status()).unpublished == 3, "the cursor is before the first unsettled event"
    await run_once(relay)
    expected = [f"failed {MAX_FAILURES} times: PublisherUnavailableError"]
    assert await reasons(site) == ([] if taken_out else expected)
    publisher.users = set()
    await run_once(relay)
    assert any(b"waits behind it" in data for data in publisher.published)
    assert any(b"fails" in data for data in publisher.published) is taken_out
    assert (await site.status()).unpublished == 0


def judge_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out that failures do not count while no event is published."""
    judge = Sender._judge_failures  # pyright: ignore[reportPrivateUsage] - a part of it is taken out

    def judge_as_if_others_got_through(sender: Sender, sent: Sent) -> None:
        sent.published["other"] = next(iter(sent.published.values()), ANY)
        judge(sender, sent)
        del sent.published["other"]

    monkeypatch.setattr(Sender, "_judge_failures", judge_as_if_others_got_through)


@in_place_and_taken_out
async def test_while_all_events_fail_none_is_a_dead_letter(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Then the cause is NATS or the network, not an event."""
    if taken_out:
        judge_in_any_case(monkeypatch)
    relay = Relay(site.database, Failing(), source="urn:test:accounts")
    await site.write_event("ada", "one")
    await site.write_event("bob", "two")
    await rounds(relay, 2 * MAX_FAILURES)
    assert len(await reasons(site)) == (2 if taken_out else 0)
    assert (await site.status()).unpublished == (0 if taken_out else 2)
