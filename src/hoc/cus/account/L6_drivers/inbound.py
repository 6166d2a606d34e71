"""Messages from others: which have been handled, and which could not be."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String, Text, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.statements import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import inbound_messages, parked_messages

MESSAGE = param("message_id", String)
SUBJECT = param("subject", String)

CLAIM = (
    insert(inbound_messages)
    .values(message_id=MESSAGE, subject=SUBJECT)
    .on_conflict_do_nothing()
    .returning(inbound_messages.c.message_id)
)

_WHY = {"reason": param("reason", Text), "retry": False}

PARK = (
    insert(parked_messages)
    .values(
        message_id=MESSAGE,
        subject=SUBJECT,
        time=param("time", DateTime(timezone=True)),
        data=param("data", LargeBinary),
        **_WHY,
    )
    .on_conflict_do_update(index_elements=[parked_messages.c.message_id], set_=_WHY)
    .returning(parked_messages.c.message_id)
)

RETRIES = (
    select(*parked_messages.c)
    .where(parked_messages.c.retry)
    .order_by(parked_messages.c.time)
    .limit(param("limit", Integer))
    .with_for_update(skip_locked=True)
)

UNPARK = (
    delete(parked_messages)
    .where(parked_messages.c.message_id == MESSAGE)
    .returning(parked_messages.c.message_id)
)

LEAVE_PARKED = (
    update(parked_messages)
    .where(parked_messages.c.message_id == MESSAGE)
    .values(**_WHY)
    .returning(parked_messages.c.message_id)
)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it came: ``data`` is its body, whatever that is."""

    message_id: str
    subject: str
    time: datetime
    data: bytes


class SqlInbound:
    async def claim(self, session: SqlSession, message: StoredMessage) -> bool:
        """Note in the handler's own transaction that it is handled; False: it has been."""
        row = await fetch_one(session, CLAIM, message_id=message.message_id, subject=message.subject)
        return row is not None

    async def park(self, session: SqlSession, message: StoredMessage, reason: str) -> None:
        await fetch_one(
            session,
            PARK,
            message_id=message.message_id,
            subject=message.subject,
            time=message.time,
            data=message.data,
            reason=reason,
        )

    async def retries(self, session: SqlSession, limit: int) -> list[StoredMessage]:
        """Parked messages that somebody wants tried again, locked."""
        rows = await fetch_all(session, RETRIES, limit=limit)
        return [StoredMessage(row.message_id, row.subject, row.time, row.data) for row in rows]

    async def unpark(self, session: SqlSession, message_id: str) -> None:
        await fetch_one(session, UNPARK, message_id=message_id)

    async def leave_parked(self, session: SqlSession, message_id: str, reason: str) -> None:
        await fetch_one(session, LEAVE_PARKED, message_id=message_id, reason=reason)
