"""The statements that all queues of mails have: claiming due rows, putting one off, and removing one."""

from typing import Any

from sqlalchemy import String, Table, Update, delete, update
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.due_rows import due_rows
from hoc.cus.account.L6_drivers.execution import param

MAIL = param("mail_id", String)
DUE_AT = param("due_at", DateTime(timezone=True))


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
