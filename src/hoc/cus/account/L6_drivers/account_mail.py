"""The courier's queue of mails about accounts."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.mails import DueAccountMail
from hoc.cus.account.L6_drivers.queued_mails import SqlQueuedMails
from hoc.cus.account.L6_drivers.tables import account_mails, users

LOCALE = (
    select(users.c.locale).where(users.c.user_id == account_mails.c.user_id).scalar_subquery().label("locale")
)

ACCOUNT_MAILS = SqlQueuedMails(account_mails, DueAccountMail, LOCALE)
