"""Account records as the identity service has them: how they are found and updated."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, literal_column, select, union_all

from hoc.cus.account.L5_schemas.errors import StaleVersionError
from hoc.cus.account.L5_schemas.identity import AccountProfileResponse
from hoc.cus.account.L5_schemas.port_types import AccountPatch, Versioned
from hoc.cus.account.L6_drivers.account_inserts import ENSURE, RECORD
from hoc.cus.account.L6_drivers.account_updates import AccountUpdate
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all
from hoc.cus.account.L6_drivers.fragments import any_of
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import linked_identities, users


def _of_subjects(*conditions: ColumnElement[bool]) -> CompoundSelect[*tuple[Any, ...]]:
    """The accounts with these ids, and those that the primary issuer's subjects are linked to."""
    linked = linked_identities.join(users, users.c.user_id == linked_identities.c.user_id)
    return union_all(
        select(*RECORD, users.c.version, users.c.user_id.label("asked")).where(
            any_of(users.c.user_id, "user_ids"), *conditions
        ),
        select(*RECORD, users.c.version, linked_identities.c.subject)
        .select_from(linked)
        .where(
            linked_identities.c.issuer == literal_column("''"),
            any_of(linked_identities.c.subject, "user_ids"),
            *conditions,
        ),
    )


FIND = _of_subjects(users.c.is_active)
FIND_STORED = _of_subjects(users.c.erased_at.is_(None))
FIND_BY_EMAIL = select(*RECORD, users.c.version, users.c.email_key).where(
    any_of(users.c.email_key, "email_keys"), users.c.is_active, users.c.deleted_at.is_(None)
)

UPDATE = AccountUpdate("name", "email", "email_verified", result=AccountProfileResponse)

record = record_of(AccountProfileResponse, FIND, FIND_STORED, FIND_BY_EMAIL, ENSURE, UPDATE.statement())


def versioned(row: AnyRow) -> Versioned[AccountProfileResponse]:
    return Versioned(record(row), row.version)


async def stored_as(session: SqlSession, user_id: str) -> AccountProfileResponse | None:
    """The account with this id, or that the primary issuer's subject with this id is linked to."""
    rows = await fetch_all(session, FIND_STORED, user_ids=[user_id])
    return record(rows[-1]) if rows else None


async def update(
    session: SqlSession,
    user_id: str,
    patch: AccountPatch,
    now: datetime,
    *,
    actor: str | None,
    expected_version: int | None = None,
) -> Versioned[AccountProfileResponse] | None:
    """Update an active account. None: there is none.

    Raises StaleVersionError, which undoes the transaction, for an account of another version.
    """
    row = await UPDATE.run(session, user_id, patch, now, actor=actor, expected_version=expected_version)
    if row is None:
        return None
    if row.is_stale:
        raise StaleVersionError.of_account()
    return versioned(row)
