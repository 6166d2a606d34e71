"""Messages from other services: the ids of those that were handled, and the dead ones."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import dead_messages, inbound_messages

MESSAGE = param("message_id", String)
SUBJECT = param("subject", String)

_HAS_FAILED = inbound_messages.c.failures.is_not(None)

CLAIM = (
    insert(inbound_messages)
    .values(message_id=MESSAGE, subject=SUBJECT)
    .on_conflict_do_update(
        index_elements=[inbound_messages.c.message_id], set_={"failures": None}, where=_HAS_FAILED
    )
    .returning(inbound_messages.c.message_id)
)

COUNT_FAILURE = (
    insert(inbound_messages)
    .values(message_id=MESSAGE, subject=SUBJECT, failures=1)
    .on_conflict_do_update(
        index_elements=[inbound_messages.c.message_id],
        set_={"failures": inbound_messages.c.failures + 1},
        where=_HAS_FAILED,
    )
    .returning(inbound_messages.c.failures)
)

_WHY = {"reason": param("reason", Text), "retry": False}

ADD_DEAD_LETTER = (
    insert(dead_messages)
    .values(
        message_id=MESSAGE,
        subject=SUBJECT,
        time=param("time", DateTime(timezone=True)),
        data=param("data", LargeBinary),
        **_WHY,
    )
    .on_conflict_do_update(index_elements=[dead_messages.c.message_id], set_=_WHY)
    .returning(dead_messages.c.message_id)
)

RETRIES = (
    select(*dead_messages.c)
    .where(dead_messages.c.retry, dead_messages.c.subject.op("~")(func.any(param("patterns", ARRAY(Text)))))
    .order_by(dead_messages.c.time)
    .limit(param("limit", Integer))
    .with_for_update(skip_locked=True)
)

REMOVE_DEAD_LETTER = (
    delete(dead_messages).where(dead_messages.c.message_id == MESSAGE).returning(dead_messages.c.message_id)
)

KEEP_DEAD_LETTER = (
    update(dead_messages)
    .where(dead_messages.c.message_id == MESSAGE)
    .values(**_WHY)
    .returning(dead_messages.c.message_id)
)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it was received. ``data`` is its body, not necessarily JSON."""

    message_id: str
    subject: str
    time: datetime
    data: bytes


class SqlInbound:
    async def claim(self, session: SqlSession, message: StoredMessage) -> bool:
        """Store, in the handler's transaction, that the message is handled. False: it was handled before."""
        row = await fetch_one(session, CLAIM, message_id=message.message_id, subject=message.subject)
        return row is not None

    async def count_failure(self, session: SqlSession, message: StoredMessage) -> int:
        """Count a failure of the message's handler. Returns how many there are; 0: it was handled since."""
        row = await fetch_one(session, COUNT_FAILURE, message_id=message.message_id, subject=message.subject)
        return 0 if row is None else int(row.failures)

    async def add_dead_letter(self, session: SqlSession, message: StoredMessage, reason: str) -> None:
        await fetch_one(
            session,
            ADD_DEAD_LETTER,
            message_id=message.message_id,
            subject=message.subject,
            time=message.time,
            data=message.data,
            reason=reason,
        )

    async def retries(self, session: SqlSession, patterns: list[str], limit: int) -> list[StoredMessage]:
        """Lock and return the dead messages of these subjects for which a retry was requested."""
        rows = await fetch_all(session, RETRIES, patterns=patterns, limit=limit)
        return [StoredMessage(row.message_id, row.subject, row.time, row.data) for row in rows]

    async def remove_dead_letter(self, session: SqlSession, message_id: str) -> None:
        await fetch_one(session, REMOVE_DEAD_LETTER, message_id=message_id)

    async def keep_dead_letter(self, session: SqlSession, message_id: str, reason: str) -> None:
        await fetch_one(session, KEEP_DEAD_LETTER, message_id=message_id, reason=reason)
