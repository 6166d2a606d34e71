"""Waves have as many events as the order of each user and tenant allows."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.waves import keys_of, waves

NOW = datetime(2026, 3, 14, 10, tzinfo=UTC)

keys = st.one_of(st.none(), st.sampled_from("abcd"))
batches = st.lists(st.tuples(keys, keys), max_size=40).map(
    lambda pairs: [event(number, *pair) for number, pair in enumerate(pairs)]
)


def event(number: int, user_id: str | None, tenant_id: str | None) -> EventResult:
    return EventResult(str(number), "user.created", NOW, tenant_id, user_id, None, {}, number)


@given(batches)
def test_every_event_is_in_one_wave(events: list[EventResult]) -> None:
    sent = [event for wave in waves(events) for event in wave]
    assert sorted(sent, key=lambda event: event.sequence or 0) == events


@given(batches)
def test_no_two_of_a_wave_have_a_key_in_common(events: list[EventResult]) -> None:
    for wave in waves(events):
        found = [key for event in wave for key in keys_of(event)]
        assert len(found) == len(set(found))


@given(batches)
def test_events_with_a_key_in_common_stay_in_order(events: list[EventResult]) -> None:
    wave_of = {event.event_id: number for number, wave in enumerate(waves(events)) for event in wave}
    for number, later in enumerate(events):
        for earlier in events[:number]:
            if keys_of(earlier) & keys_of(later):
                assert wave_of[earlier.event_id] < wave_of[later.event_id]


@given(batches)
def test_there_are_no_more_waves_than_needed(events: list[EventResult]) -> None:
    """Each event after the first wave has a key in common with the wave before."""
    found = list(waves(events))
    for before, wave in pairwise(found):
        busy = {key for event in before for key in keys_of(event)}
        assert all(keys_of(event) & busy for event in wave)


def test_a_user_and_a_tenant_with_the_same_id_differ() -> None:
    assert keys_of(event(1, "x", None)).isdisjoint(keys_of(event(2, None, "x")))
