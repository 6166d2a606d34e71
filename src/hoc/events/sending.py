"""Sends a batch of events: all of them together, or as many at once as their order allows."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.message import Message, message_of
from hoc.events.publisher import MessageRefusedError, Publisher
from hoc.events.waves import keys_of, waves
from hoc.telemetry.tracing import publish_span

TOGETHER = 10
"""Fewer events go out in waves: the server writes a batch twice, which costs more than their round trips."""
MAX_FAILURES = 5
SEND_SECONDS = 5.0
"""No wave begins after this time, which is half of PostgreSQL's limit for an idle transaction."""


@dataclass(slots=True)
class Sent:
    """The outcome of each event by its id. An event in none of the three was not sent."""

    published: dict[str, EventResult] = field(default_factory=dict[str, EventResult])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    failed: dict[str, Exception] = field(default_factory=dict[str, Exception])

    def settles(self, event: EventResult) -> bool:
        """Whether the event needs no further attempt."""
        return event.event_id in self.published or event.event_id in self.refused

    def settled(self, events: list[EventResult]) -> list[EventResult]:
        """The events before the first one that is not settled."""
        return list(takewhile(self.settles, events))


class Sender:
    """Publishes batches, and counts how often each event has failed."""

    def __init__(self, publisher: Publisher, source: str) -> None:
        self._publisher = publisher
        self._source = source
        self._failures = Counter[str]()
        self._may_send_together = True

    async def send(self, events: list[EventResult]) -> Sent:
        """Publish all events together, or else wave by wave.

        After a batch of unknown outcome, the next call sends waves, whatever the server has against batches.
        """
        sent = Sent()
        deadline = asyncio.get_running_loop().time() + SEND_SECONDS
        is_batch = self._may_send_together and len(events) >= TOGETHER
        self._may_send_together = True
        if not is_batch or not await self._send_together(events, sent):
            await self._send_in_waves(events, sent, deadline)
        self._judge_failures(sent)
        return sent

    async def _send_together(self, events: list[EventResult], sent: Sent) -> bool:
        """Publish all events or none. Returns False if the server refuses them together."""
        try:
            is_stored = await self._publisher.publish_together([*map(self._traced_message, events)])
        except Exception as problem:  # noqa: BLE001 - the relay must go on, whatever the publisher raises
            sent.failed.update((event.event_id, problem) for event in events)
            self._may_send_together = False
            return True
        if is_stored:
            sent.published.update((event.event_id, event) for event in events)
        return is_stored

    async def _send_in_waves(self, events: list[EventResult], sent: Sent, deadline: float) -> None:
        """Publish wave by wave. After an event that fails, events of the same user or tenant wait."""
        held: set[tuple[str, str]] = set()
        for wave in waves(events):
            await self._send_wave([event for event in wave if held.isdisjoint(keys_of(event))], sent)
            held.update(key for event in wave if not sent.settles(event) for key in keys_of(event))
            is_outage = bool(sent.failed) and not sent.published
            if is_outage or asyncio.get_running_loop().time() > deadline:
                break

    async def _send_wave(self, wave: list[EventResult], sent: Sent) -> None:
        outcomes = await asyncio.gather(*map(self._publish, wave))
        for event, problem in zip(wave, outcomes, strict=True):
            match problem:
                case None:
                    sent.published[event.event_id] = event
                case MessageRefusedError():
                    sent.refused[event.event_id] = str(problem)
                case _:
                    sent.failed[event.event_id] = problem

    async def _publish(self, event: EventResult) -> Exception | None:
        message = message_of(event, self._source)
        try:
            with publish_span(message.subject, message.headers):
                await self._publisher.publish(message)
        except Exception as problem:  # noqa: BLE001 - one event must not hold up the others
            return problem
        return None

    def _traced_message(self, event: EventResult) -> Message:
        message = message_of(event, self._source)
        with publish_span(message.subject, message.headers):
            return message

    def _judge_failures(self, sent: Sent) -> None:
        """Refuse an event that failed several times while others were published: NATS is not the cause."""
        for event_id in sent.published:
            self._failures.pop(event_id, None)
        if not sent.published:
            return
        for event_id, problem in list(sent.failed.items()):
            self._failures[event_id] += 1
            if self._failures[event_id] == MAX_FAILURES:
                del self._failures[event_id], sent.failed[event_id]
                sent.refused[event_id] = f"failed {MAX_FAILURES} times: {type(problem).__name__}"
