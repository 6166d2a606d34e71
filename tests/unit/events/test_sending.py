"""The outcomes of a batch of events when some are refused or fail."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events import sending
from hoc.events.message import Message
from hoc.events.publisher import MessageRefusedError, PublisherUnavailableError
from hoc.events.sending import MAX_FAILURES, TOGETHER, Sender
from hoc.testing import RecordingPublisher

NOW = datetime(2026, 3, 14, 10, tzinfo=UTC)


def event(name: str) -> EventResult:
    """The first letter is the user: a1 and a2 are events of one user."""
    return EventResult(name, "user.created", NOW, None, name[0], None, {}, 1)


def refusing(**problems: Exception) -> Callable[[Message], Exception | None]:
    return lambda message: problems.get(message.event_id)


def names(publisher: RecordingPublisher) -> list[str]:
    return [message.event_id for message in publisher.messages]


async def test_all_are_published_in_the_order_of_each_user() -> None:
    publisher = RecordingPublisher()
    events = [event(name) for name in ("a1", "b1", "a2", "c1", "b2", "a3")]
    sent = await Sender(publisher, "urn:x").send(events)
    assert sent.settled(events) == events
    assert names(publisher) == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_after_a_failure_only_events_of_the_same_user_wait() -> None:
    publisher = RecordingPublisher(refusing(a1=PublisherUnavailableError("unreachable")))
    events = [event(name) for name in ("b1", "a1", "a2", "b2", "c1")]
    sent = await Sender(publisher, "urn:x").send(events)
    assert names(publisher) == ["b1", "c1", "b2"]
    assert list(sent.failed) == ["a1"]
    assert [settled.event_id for settled in sent.settled(events)] == ["b1"]


async def test_a_refused_event_holds_up_no_other() -> None:
    publisher = RecordingPublisher(refusing(a1=MessageRefusedError("too large")))
    events = [event(name) for name in ("a1", "a2", "b1")]
    sent = await Sender(publisher, "urn:x").send(events)
    assert sent.refused == {"a1": "too large"}
    assert names(publisher) == ["b1", "a2"]
    assert sent.settled(events) == events


async def test_no_wave_follows_one_that_failed_as_a_whole() -> None:
    tried: list[str] = []

    def fail(message: Message) -> Exception:
        tried.append(message.event_id)
        return PublisherUnavailableError("unreachable")

    sent = await Sender(RecordingPublisher(fail), "urn:x").send([event("a1"), event("a2"), event("b1")])
    assert tried == ["a1", "b1"]
    assert not sent.published


async def test_an_unforeseen_exception_is_a_failure_of_that_event() -> None:
    publisher = RecordingPublisher(refusing(a1=ValueError("unforeseen")))
    sent = await Sender(publisher, "urn:x").send([event("a1"), event("b1")])
    assert list(sent.failed) == ["a1"]
    assert names(publisher) == ["b1"]


@pytest.mark.parametrize("others", [True, False])
async def test_an_event_that_alone_keeps_failing_is_refused(*, others: bool) -> None:
    publisher = RecordingPublisher(refusing(a1=PublisherUnavailableError("odd")))
    sender = Sender(publisher, "urn:x")
    events = [event("a1"), *([event("b1")] if others else [])]
    rounds = [await sender.send(events) for _ in range(MAX_FAILURES)]
    assert [bool(sent.refused) for sent in rounds] == [False] * (MAX_FAILURES - 1) + [others]


async def test_a_success_forgives_earlier_failures() -> None:
    problems: dict[str, Exception] = {"a1": PublisherUnavailableError("odd")}
    publisher = RecordingPublisher(lambda message: problems.get(message.event_id))
    sender = Sender(publisher, "urn:x")
    for _ in range(MAX_FAILURES - 1):
        await sender.send([event("a1"), event("b1")])
    problem = problems.pop("a1")
    await sender.send([event("a1")])
    problems["a1"] = problem
    assert not (await sender.send([event("a1"), event("b1")])).refused


async def test_no_wave_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SEND_SECONDS", -1.0)
    publisher = RecordingPublisher()
    events = [event("a1"), event("a2"), event("b1")]
    sent = await Sender(publisher, "urn:x").send(events)
    assert names(publisher) == ["a1", "b1"]
    assert [settled.event_id for settled in sent.settled(events)] == ["a1"]


MANY = [event(f"{user}{number}") for number in range(TOGETHER) for user in "ab"]


async def test_many_events_are_published_together() -> None:
    publisher = RecordingPublisher()
    sent = await Sender(publisher, "urn:x").send(MANY)
    assert sent.settled(MANY) == MANY
    assert names(publisher) == [each.event_id for each in MANY], "in order, and not in waves"


async def test_events_that_are_refused_together_go_out_in_waves() -> None:
    publisher = RecordingPublisher(refusing(a1=MessageRefusedError("too large")))
    sent = await Sender(publisher, "urn:x").send(MANY)
    assert sent.refused == {"a1": "too large"}
    assert sorted(names(publisher)) == sorted(each.event_id for each in MANY if each.event_id != "a1")


class Unsure(RecordingPublisher):
    """It is never known whether events are published together."""

    async def publish_together(self, messages: Sequence[Message]) -> bool:  # noqa: ARG002 - as in the port
        raise PublisherUnavailableError("no answer")


async def test_events_of_unknown_outcome_are_repeated_in_waves() -> None:
    publisher = Unsure()
    sender = Sender(publisher, "urn:x")
    assert list((await sender.send(MANY)).failed) == [each.event_id for each in MANY]
    assert publisher.messages == [], "they are not sent again at once"
    assert (await sender.send(MANY)).settled(MANY) == MANY
    assert (await sender.send(MANY)).failed, "later ones are sent together again"
