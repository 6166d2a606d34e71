"""What a received message says, as PostgreSQL can store it."""

from contextlib import suppress
from datetime import datetime

import orjson
from nats.aio.msg import Msg

from hoc.cus.account.L5_engines.text import MAX_ID_LENGTH, is_storable_id
from hoc.cus.account.L5_engines.times import utc_time
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L6_drivers.inbound import StoredMessage
from hoc.database import sqlstate
from hoc.events.message import InboundMessage

_MAX_REASON_LENGTH = 1_000
_DATA_EXCEPTION = "22"


class HandlerError(Exception):
    """A handler failed by itself, in a transaction that still works. The text is its exception's type."""


def stored(received: Msg) -> StoredMessage:
    """The message with an id, a subject and a time that can be stored."""
    headers = received.headers or {}
    position = f"{received.metadata.stream}:{received.metadata.sequence.stream}"
    given = headers.get("Nats-Msg-Id") or headers.get("ce-id") or position
    time = received.metadata.timestamp
    with suppress(InvalidInputError):
        time = given_time(received) or time
    return StoredMessage(
        message_id=given if is_storable_id(given) else position,
        subject=_printable(received.subject)[:MAX_ID_LENGTH],
        time=time,
        data=received.data,
    )


def given_time(received: Msg) -> datetime | None:
    """The time in ``ce-time``, or None without one. Raises InvalidInputError for a year out of bounds."""
    try:
        time = datetime.fromisoformat((received.headers or {}).get("ce-time", ""))
    except ValueError:
        return None
    return utc_time("ce-time", time) if time.tzinfo else None


def parsed(message: StoredMessage) -> InboundMessage:
    """Raises InvalidInputError if the data is not JSON."""
    try:
        data = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        raise InvalidInputError.of("data", "is not JSON") from None
    return InboundMessage(message.message_id, message.subject, message.time, data)


def is_hopeless(problem: Exception) -> bool:
    """Whether the message itself is wrong, so that no further delivery can succeed."""
    return isinstance(problem, InvalidInputError) or (sqlstate(problem) or "").startswith(_DATA_EXCEPTION)


def reason_of(problem: Exception) -> str:
    """A text that is safe to log: the text of another library's exception may quote the message."""
    if isinstance(problem, HandlerError):
        return str(problem)
    if isinstance(problem, InvalidInputError):
        return _printable(problem.message)[:_MAX_REASON_LENGTH]
    return type(problem).__name__


def _printable(text: str) -> str:
    """The text with a replacement for what PostgreSQL cannot store, and for what would break a line."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
