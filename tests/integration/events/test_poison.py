"""What can never be published is set aside with a reason, and holds up nobody for long."""

from collections.abc import AsyncGenerator
from typing import Any
from unittest.mock import ANY

import pytest
from support.relays import Site, turn
from support.seed import execute, scalar

from hoc.events.message import Message
from hoc.events.publisher import PublisherUnavailableError
from hoc.events.relay import Relay
from hoc.events.sending import MAX_FAILURES, Sender, Sent

LARGE = "x" * 4_000
ROOM = 2_048

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


class Failing:
    """A publisher that fails for whoever is named in ``users``; None: for everybody."""

    is_connected = True

    def __init__(self, users: set[str] | None = None) -> None:
        self.users = users
        self.published: list[bytes] = []

    async def publish(self, message: Message) -> None:
        if self.users is None or any(user.encode() in message.data for user in self.users):
            raise PublisherUnavailableError("It may have been stored.")
        self.published.append(message.data)


async def reasons(site: Site) -> list[str]:
    query = "SELECT array_agg(reason ORDER BY sequence) FROM account.dead_events"
    found: Any = await scalar(site.database, query)
    return list(found or [])


async def retry_all(site: Site) -> None:
    await execute(site.database, "UPDATE account.dead_events SET retry = true")


@pytest.fixture
async def relay(site: Site) -> AsyncGenerator[Relay]:
    """One with room for two events at once, so that one which stays blocks the way soon."""
    async with site.relay(batch=2) as relay:
        yield relay


async def rounds(relay: Relay, count: int = 6) -> None:
    for _ in range(count):
        await turn(relay)


def believe_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out that some messages are known to be hopeless: each may yet be stored one day."""
    monkeypatch.setattr("hoc.events.sending.MessageRefusedError", _Never)
    monkeypatch.setattr("hoc.events.sending.MAX_FAILURES", 1_000)


class _Never(Exception): ...  # noqa: N818 - no error at all


async def tell_of_poison(site: Site) -> None:
    await site.tell("ada", "before")
    await site.tell("ada", LARGE)
    await site.tell("bob", "small")
    for number in range(3):
        await site.tell("ada", f"after {number}")
        await site.tell("eve", f"after {number}")


OTHERS = [("ada", "before"), ("bob", "small")] + [
    (user, f"after {number}") for number in range(3) for user in ("ada", "eve")
]


@in_place_and_taken_out
async def test_one_larger_than_the_server_takes(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    site.nats.stop()
    site.nats.start(max_payload=ROOM)
    if taken_out:
        believe_in_it(monkeypatch)
    await tell_of_poison(site)
    async with site.relay(batch=2) as relay:
        await rounds(relay)
    if taken_out:
        assert ("ada", "after 0") not in await site.names()
        return
    assert sorted(await site.names()) == sorted(OTHERS)
    [reason] = await reasons(site)
    assert reason.endswith(f"bytes; the server takes {ROOM}")
    assert (await site.status()).dead == 1
    assert (await site.status()).unpublished == 0
    async with site.relay() as relay:
        await retry_all(site)
        await turn(relay)
        assert len(await reasons(site)) == 1, "for it is still too large"
        assert not await scalar(site.database, "SELECT retry FROM account.dead_events")
    site.nats.stop()
    site.nats.start()
    async with site.relay() as relay:
        await turn(relay)
        assert len(await reasons(site)) == 1, "for nobody has asked"
        await retry_all(site)
        await turn(relay)
    assert await reasons(site) == []
    assert (await site.names())[-1] == ("ada", LARGE)


@in_place_and_taken_out
async def test_one_larger_than_the_stream_takes(
    site: Site, monkeypatch: pytest.MonkeyPatch, relay: Relay, *, taken_out: bool
) -> None:
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], max_msg_size=ROOM)
        if taken_out:
            believe_in_it(monkeypatch)
        await tell_of_poison(site)
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
    await turn(relay)
    assert await reasons(site) == []
    assert (await site.names())[-1] == ("ada", LARGE)


async def test_a_retried_one_goes_before_what_came_later(site: Site) -> None:
    async with site.nats.jetstream() as jetstream, site.relay() as relay:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], max_msg_size=ROOM)
        await site.tell("ada", LARGE)
        await turn(relay)
        await jetstream.delete_stream("ACCOUNTS")
        await retry_all(site)
        await site.tell("ada", "later")
        await turn(relay)
        assert await site.names() == []
        await turn(relay)
    assert await site.names() == [("ada", LARGE), ("ada", "later")]
    assert await reasons(site) == []


@in_place_and_taken_out
async def test_one_that_fails_while_others_get_through_is_parked_in_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    if taken_out:
        monkeypatch.setattr("hoc.events.sending.MAX_FAILURES", 1_000)
    publisher = Failing({"ada"})
    relay = Relay(site.database, publisher, source="urn:test:accounts")
    await site.tell("ada", "fails")
    await site.tell("ada", "waits behind it")
    await site.tell("bob", "gets through")
    await rounds(relay, MAX_FAILURES - 1)
    assert await reasons(site) == []
    assert (await site.status()).unpublished == 3, "the cursor is before the first that is not settled"
    await turn(relay)
    expected = [f"failed {MAX_FAILURES} times: PublisherUnavailableError"]
    assert await reasons(site) == ([] if taken_out else expected)
    publisher.users = set()
    await turn(relay)
    assert any(b"waits behind it" in data for data in publisher.published)
    assert any(b"fails" in data for data in publisher.published) is taken_out
    assert (await site.status()).unpublished == 0


def judge_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out that nobody is judged while nobody gets through."""
    judge = Sender._judge_failures  # pyright: ignore[reportPrivateUsage] - it is taken out from inside

    def judge_as_if_others_got_through(sender: Sender, sent: Sent) -> None:
        sent.published["other"] = next(iter(sent.published.values()), ANY)
        judge(sender, sent)
        del sent.published["other"]

    monkeypatch.setattr(Sender, "_judge_failures", judge_as_if_others_got_through)


@in_place_and_taken_out
async def test_while_everything_fails_nothing_is_parked(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Then it is NATS, or the way to it."""
    if taken_out:
        judge_in_any_case(monkeypatch)
    relay = Relay(site.database, Failing(), source="urn:test:accounts")
    await site.tell("ada", "one")
    await site.tell("bob", "two")
    await rounds(relay, 2 * MAX_FAILURES)
    assert len(await reasons(site)) == (2 if taken_out else 0)
    assert (await site.status()).unpublished == (0 if taken_out else 2)
