"""Finding accounts that were deleted long ago and are not erased."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlalchemy import Integer, String, select, tuple_
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.tables import users

DELETED_AT = DateTime(timezone=True)


class DeletedAccount(NamedTuple):
    """An account, and its place in the order in which accounts were deleted."""

    deleted_at: datetime
    user_id: str


FIRST: Final = DeletedAccount(datetime.min.replace(tzinfo=UTC), "")
"""Before all accounts."""

FIND = (
    select(users.c.deleted_at, users.c.user_id)
    .where(
        users.c.deleted_at.is_not(None),
        users.c.erased_at.is_(None),
        users.c.deleted_at < param("before", DELETED_AT),
        tuple_(users.c.deleted_at, users.c.user_id)
        > tuple_(param("after", DELETED_AT), param("after_id", String)),
    )
    .order_by(users.c.deleted_at, users.c.user_id)
    .limit(param("batch", Integer))
)


class SqlDeletedAccounts:
    async def find(
        self, session: SqlSession, *, before: datetime, after: DeletedAccount, limit: int
    ) -> list[DeletedAccount]:
        """The accounts behind ``after`` that were deleted before the time, the first ``limit`` of them."""
        rows = await fetch_all(
            session, FIND, before=before, after=after.deleted_at, after_id=after.user_id, batch=limit
        )
        return [DeletedAccount(row.deleted_at, row.user_id) for row in rows]
