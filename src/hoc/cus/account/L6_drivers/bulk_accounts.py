"""Accounts in bulk: in by COPY and one statement for each batch, out by COPY."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    String,
    Table,
    Text,
    cast,
    exists,
    func,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from hoc.cus.account.L5_schemas.events import UserIdentityLinkedEventData
from hoc.cus.account.L6_drivers.account_inserts import any_shard, registered
from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import NOW, any_of
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import linked_identities, users

COPIED: Final = (
    "email",
    "email_key",
    "name",
    "name_key",
    "is_active",
    "created_at",
    "email_verified",
    "timezone",
    "locale",
    "avatar_url",
    "oauth_provider",
    "last_login_at",
    "has_generated_id",
    "is_claimed",
    "deleted_at",
)

_TAKEN: Final = "email: is another account's already"
_LINKED: Final = "user_id: is linked to another account already"
_IDENTITY_LINKED: Final = "identities: one is linked to another account already"

# As long as housekeeping keeps the counts, which is longer than statistics look back.
_HOURS_COUNTED: Final = timedelta(days=32)

staged = Table(
    "staged_accounts",
    MetaData(),
    Column("line", BigInteger, nullable=False),
    Column("user_id", String, nullable=False),
    *(Column(name, users.c[name].type) for name in COPIED),
    Column("preferences", Text),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)
STAGED: Final = tuple(staged.c.keys())

staged_identities = Table(
    "staged_identities",
    MetaData(),
    Column("line", BigInteger, nullable=False),
    Column("issuer", String, nullable=False),
    Column("subject", String, nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)

CREATE_STAGED = CreateTable(staged, if_not_exists=True)
CREATE_STAGED_IDENTITIES = CreateTable(staged_identities, if_not_exists=True)

# Without an issuer of its own, a subject is one of the primary issuer.
IS_LINKED = exists().where(linked_identities.c.issuer == "", linked_identities.c.subject == staged.c.user_id)

IS_IDENTITY_LINKED = exists().where(
    staged_identities.c.line == staged.c.line,
    linked_identities.c.issuer == staged_identities.c.issuer,
    linked_identities.c.subject == staged_identities.c.subject,
)

_STORED, *_COUNTED = registered(
    insert(users)
    .from_select(
        ["user_id", *COPIED, "preferences", "updated_at"],
        select(
            staged.c.user_id,
            *(staged.c[name] for name in COPIED),
            cast(staged.c.preferences, JSONB),
            NOW,
        )
        .where(~IS_LINKED, ~IS_IDENTITY_LINKED)
        .order_by(staged.c.line),
    )
    .on_conflict_do_nothing(),
    actor=null(),
    hours_since=param("hours_since", DateTime(timezone=True)),
)
# A subject that somebody links at the same moment stays theirs.
_LINKS = (
    insert(linked_identities)
    .from_select(
        ["issuer", "subject", "user_id", "linked_at"],
        select(staged_identities.c.issuer, staged_identities.c.subject, _STORED.c.user_id, NOW)
        .join(staged, staged.c.line == staged_identities.c.line)
        .join(_STORED, _STORED.c.user_id == staged.c.user_id),
    )
    .on_conflict_do_nothing()
    .returning(*linked_identities.c)
    .cte("linked")
)
STORE = (
    select(
        staged.c.line,
        staged.c.user_id,
        IS_LINKED.label("is_linked"),
        IS_IDENTITY_LINKED.label("is_identity_linked"),
    )
    .where(~exists().where(_STORED.c.user_id == staged.c.user_id))
    .order_by(staged.c.line)
    .add_cte(*_COUNTED, recorded(UserIdentityLinkedEventData, _LINKS, actor=null()))
)
THERE = select(users.c.user_id).where(any_of(users.c.user_id, "user_ids"))

_ASKED = (
    func.unnest(
        param("lines", ARRAY(BigInteger)),
        param("user_ids", ARRAY(String)),
        param("email_keys", ARRAY(String)),
    )
    .table_valued("line", "user_id", "email_key")
    .render_derived("asked")
)
_ASKED_IDENTITIES = (
    func.unnest(
        param("identity_lines", ARRAY(BigInteger)),
        param("issuers", ARRAY(String)),
        param("subjects", ARRAY(String)),
    )
    .table_valued("line", "issuer", "subject")
    .render_derived("asked_identities")
)
_IS_THERE = exists().where(users.c.user_id == _ASKED.c.user_id)
_IS_TAKEN = exists().where(users.c.email_key == _ASKED.c.email_key, users.c.deleted_at.is_(None))
_IS_SUBJECT = exists().where(
    linked_identities.c.issuer == "", linked_identities.c.subject == _ASKED.c.user_id
)
_HAS_LINKED = exists().where(
    _ASKED_IDENTITIES.c.line == _ASKED.c.line,
    linked_identities.c.issuer == _ASKED_IDENTITIES.c.issuer,
    linked_identities.c.subject == _ASKED_IDENTITIES.c.subject,
)
CHECK = (
    select(
        _ASKED.c.line,
        _ASKED.c.user_id,
        _IS_THERE.label("is_there"),
        _IS_SUBJECT.label("is_linked"),
        _HAS_LINKED.label("is_identity_linked"),
    )
    .where(_IS_THERE | _IS_TAKEN | _IS_SUBJECT | _HAS_LINKED)
    .order_by(_ASKED.c.line)
)

# Two batches that have the same accounts in another order would deadlock, and again when repeated.
LOCK_IMPORTS = select(func.pg_advisory_xact_lock(AdvisoryLock.IMPORT))
SETTLE = text(f"VACUUM (ANALYZE, SKIP_LOCKED) {users.fullname}")


async def store_accounts(
    session: AsyncConnection,
    accounts: Sequence[tuple[Any, ...]],
    identities: Sequence[tuple[int, str, str]],
    now: datetime,
) -> tuple[set[str], dict[int, str]]:
    """Store the accounts whose id, address and identities are not taken. Waits for other imports to commit.

    Args:
        session: an open transaction on asyncpg.
        accounts: rows of `STAGED`; no id twice.
        identities: the line of its account, the issuer and the subject of each; none twice.
        now: becomes ``updated_at``.

    Returns:
        The ids that existed before, and what was taken by the ``line`` of each other account not stored.
    """
    await session.execute(LOCK_IMPORTS)
    await session.execute(CREATE_STAGED)
    await session.execute(CREATE_STAGED_IDENTITIES)
    driver = await _driver(session)
    await driver.copy_records_to_table(staged.name, records=accounts, columns=STAGED)
    await driver.copy_records_to_table(staged_identities.name, records=identities)
    left = await fetch_all(session, STORE, now=now, hours_since=now - _HOURS_COUNTED, shard=any_shard())
    # Another statement, because it sees the rows that a rival committed while STORE waited for it.
    found = await fetch_all(session, THERE, user_ids=[row.user_id for row in left]) if left else []
    there = {row.user_id for row in found}
    return there, {row.line: _reason(row) for row in left if row.user_id not in there}


async def check_accounts(
    session: SqlSession, accounts: Sequence[tuple[Any, ...]], identities: Sequence[tuple[int, str, str]]
) -> tuple[set[str], dict[int, str]]:
    """What `store_accounts` would return, but for addresses that two of the rows have. Changes nothing."""
    place = STAGED.index
    rows = await fetch_all(
        session,
        CHECK,
        lines=[row[place("line")] for row in accounts],
        user_ids=[row[place("user_id")] for row in accounts],
        email_keys=[None if row[place("deleted_at")] else row[place("email_key")] for row in accounts],
        identity_lines=[line for line, _, _ in identities],
        issuers=[issuer for _, issuer, _ in identities],
        subjects=[subject for _, _, subject in identities],
    )
    there = {row.user_id for row in rows if row.is_there}
    return there, {row.line: _reason(row) for row in rows if not row.is_there}


def _reason(row: AnyRow) -> str:
    return _LINKED if row.is_linked else _IDENTITY_LINKED if row.is_identity_linked else _TAKEN


async def settle_accounts(session: SqlSession) -> None:
    """Vacuum and analyze, as autovacuum would a minute later: until then, searches and plans are worse.

    For a role that does not own the table, PostgreSQL only logs a warning.
    """
    await session.execute(SETTLE)


FORMULA: Final = r"""["']*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]"""
"""How a text begins that a spreadsheet may run as a formula, for `re` and for PostgreSQL alike."""


class Output(Protocol):
    """A binary file that an export is written to."""

    def write(self, data: bytes, /) -> object: ...


EXPORTED: Final = (
    "user_id",
    "email",
    "name",
    "is_active",
    "preferences",
    "created_at",
    "email_verified",
    "email_lost",
    "timezone",
    "locale",
    "avatar_url",
    "oauth_provider",
    "last_login_at",
    "has_generated_id",
    "is_claimed",
    "deleted_at",
)
_EMAIL_LOST: Final = "(email_key IS NULL)"
_ACTIVE: Final = " AND is_active"
_KNOWN: Final = " WHERE erased_at IS NULL"


def _json_lines() -> str:
    fields = (f"'{name}', {_EMAIL_LOST if name == 'email_lost' else name}" for name in EXPORTED)
    return f"SELECT json_build_object({', '.join(fields)}) FROM {users.fullname}"  # noqa: S608 - of constants


def _csv(marked: str) -> str:
    """The query for CSV. An apostrophe precedes each text that begins like the regular expression."""
    cells = (f"{_cell(name, marked)} AS {name}" for name in EXPORTED)
    return f"SELECT {', '.join(cells)} FROM {users.fullname}"  # noqa: S608 - of constants


def _cell(name: str, marked: str) -> str:
    if name == "email_lost":
        return f"{_EMAIL_LOST}::text"
    match users.c[name].type:
        case Boolean():
            return f"{name}::text"
        case DateTime():
            return f"to_json({name}) #>> '{{}}'"
        case JSONB():
            return name
        case _:
            return f"regexp_replace({name}, $$^(?={marked})$$, $$'$$)"


async def copy_accounts(
    session: AsyncConnection, output: Output, *, as_json: bool, include_inactive: bool, raw: bool
) -> int:
    """Write all accounts but the erased ones, as of one moment and in no order. Returns how many.

    In CSV, an apostrophe precedes each formula; with ``raw``, only one behind an apostrophe. So a reader may
    remove one apostrophe before a formula in any file.
    """
    where = _KNOWN if include_inactive else _KNOWN + _ACTIVE
    if as_json:
        query = _json_lines()
        # Neither delimiter nor quote can occur in JSON text, so nothing is ever quoted.
        options: dict[str, Any] = {"delimiter": "\x01", "quote": "\x02"}
    else:
        query, options = _csv(f"'{FORMULA}" if raw else FORMULA), {"header": True}
    driver = await _driver(session)
    done = await driver.copy_from_query(query + where, output=output, format="csv", **options)
    return int(done.removeprefix("COPY "))


async def _driver(session: AsyncConnection) -> Any:  # noqa: ANN401 - asyncpg's connection, behind SQLAlchemy's pool
    return (await session.get_raw_connection()).driver_connection
