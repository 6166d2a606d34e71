"""A message is the event's payload, with CloudEvents attributes as headers."""

import re
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.message import message_of

AT = datetime(2026, 3, 14, 10, 0, 0, 123_456, tzinfo=UTC)


def event(**changes: object) -> EventResult:
    given: dict[str, object] = {
        "event_id": "0199f3c2-7d1b-4a63-9d0e-5a4c2f6b8e11",
        "type": "member.removed",
        "time": AT,
        "tenant_id": "ten_1",
        "user_id": "usr_1",
        "actor": "usr_2",
        "data": {"tenant_id": "ten_1"},
        "sequence": 42,
    }
    return EventResult(**given | changes)  # type: ignore[arg-type]  # of the types above


def test_the_headers_describe_the_event() -> None:
    message = message_of(event(), "urn:hoc:accounts")
    assert message.subject == "member.removed"
    assert orjson.loads(message.data) == {"tenant_id": "ten_1"}
    assert message.headers == {
        "Nats-Msg-Id": "0199f3c2-7d1b-4a63-9d0e-5a4c2f6b8e11",
        "ce-specversion": "1.0",
        "ce-id": "0199f3c2-7d1b-4a63-9d0e-5a4c2f6b8e11",
        "ce-source": "urn:hoc:accounts",
        "ce-type": "member.removed",
        "ce-time": "2026-03-14T10:00:00.123456Z",
        "ce-datacontenttype": "application/json",
        "ce-subject": "ten_1",
        "ce-actor": "usr_2",
        "ce-sequence": "0000000000000000042",
    }


def test_an_unknown_attribute_has_no_header() -> None:
    headers = message_of(event(actor=None, tenant_id=None), "urn:hoc:accounts").headers
    assert "ce-actor" not in headers
    assert headers["ce-subject"] == "usr_1"


def test_sequences_sort_as_text() -> None:
    written = [
        message_of(event(sequence=number), "urn:x").headers["ce-sequence"] for number in (9, 10, 2**62)
    ]
    assert written == sorted(written)


def test_times_are_utc() -> None:
    at = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert message_of(event(time=at), "urn:x").headers["ce-time"] == "2026-03-14T10:00:00.123456Z"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50))
def test_any_id_is_printable_ascii_in_a_header(user_id: str) -> None:
    """All characters but U+0021 to U+007E are percent-encoded, and ``"`` and ``%`` too, as over HTTP."""
    subject = message_of(event(tenant_id=None, user_id=user_id), "urn:x").headers["ce-subject"]
    assert re.fullmatch(r"[!#$&-~]*(?:%[0-9A-F]{2}[!#$&-~]*)*", subject)
    assert unquote(subject) == user_id


@pytest.mark.parametrize("hostile", ["a\r\nNats-Msg-Id: b", "a\x00b"])
def test_no_id_adds_a_header(hostile: str) -> None:
    subject = message_of(event(tenant_id=None, user_id=hostile), "urn:x").headers["ce-subject"]
    assert "\r" not in subject
    assert "\n" not in subject
    assert "\x00" not in subject
