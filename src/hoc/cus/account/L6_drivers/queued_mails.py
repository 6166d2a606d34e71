"""The queues of mails. Each is a table with an id, the attempts and the time at which a mail is due."""

from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, String, Table, Update, delete, update
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.mails import QueuedMail
from hoc.cus.account.L6_drivers.due_rows import due_rows
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one, param

MAIL = param("mail_id", String)
DUE_AT = param("due_at", DateTime(timezone=True))

MailT = TypeVar("MailT", bound=QueuedMail)


def claim(mails: Table) -> Update:
    """Have up to ``batch`` due mails be due again at `DUE_AT`."""
    return (
        update(mails)
        .where(mails.c.mail_id.in_(due_rows(mails.c.mail_id, at=mails.c.due_at)))
        .values(due_at=DUE_AT, attempts=mails.c.attempts + 1)
    )


def postpone(mails: Table) -> ReturningUpdate[Any]:
    return update(mails).where(mails.c.mail_id == MAIL).values(due_at=DUE_AT).returning(mails.c.mail_id)


def remove(mails: Table) -> ReturningDelete[Any]:
    return delete(mails).where(mails.c.mail_id == MAIL).returning(mails.c.mail_id)


class SqlQueuedMails(Generic[MailT]):
    """The mails of a table, as ``kind``: a dataclass whose fields are columns of the table or ``others``.

    A mail that was sent and one that never will be are removed alike. One that is queued again meanwhile has
    another id, and stays.
    """

    def __init__(self, mails: Table, kind: type[MailT], *others: ColumnElement[Any]) -> None:
        columns = {column.key: column for column in (*mails.c, *others)}
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # of a dataclass
        self._kind = kind
        self._claim = claim(mails).returning(*(columns[name] for name in names))
        self._postpone = postpone(mails)
        self._remove = remove(mails)

    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[MailT]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, self._claim, now=now, due_at=lease_until, batch=batch)
        return [self._kind(*row) for row in rows]

    async def postpone(self, session: SqlSession, mail: MailT, due_at: datetime, _now: datetime) -> None:
        await fetch_one(session, self._postpone, mail_id=mail.mail_id, due_at=due_at)

    async def finish(self, session: SqlSession, mail: MailT, _now: datetime) -> None:
        await fetch_one(session, self._remove, mail_id=mail.mail_id)

    async def fail(self, session: SqlSession, mail: MailT, _reason: str, now: datetime) -> None:
        await self.finish(session, mail, now)

    async def drop(self, session: SqlSession, mail: MailT, now: datetime) -> None:
        await self.finish(session, mail, now)
