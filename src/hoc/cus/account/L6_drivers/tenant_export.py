"""What is held about a tenant, as JSON: the rows of each table that has something of it, table by table."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    String,
    Table,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from hoc.cus.account.L5_schemas.erasure import ExportKey, ExportPosition, TenantRecord, TenantRecords
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.exported_rows import shown
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.tables import (
    events,
    invitation_counts,
    member_counts,
    memberships,
    metadata,
    outbox,
    scim_counts,
    tenant_slugs,
    tenants,
    users,
)

_FOLLOW_FROM_OTHERS: Final = {tenant_slugs, member_counts, invitation_counts, scim_counts}
# An event that is numbered meanwhile moves from the last but one to the last, and is not missed.
_OTHERS: Final = [
    table
    for table in metadata.sorted_tables
    if "tenant_id" in table.c and table not in {tenants, outbox, events} | _FOLLOW_FROM_OTHERS
]
KINDS: Final = {table.name: table for table in (tenants, *_OTHERS, outbox, events)}
"""The tables of the rows that are exported, in order."""

LIMIT = param("limit", Integer)


def _key(table: Table) -> list[Column[Any]]:
    """What tells the rows of one tenant apart, in an index. A table with one row for each has its id."""
    own = [column for column in table.primary_key if column.name not in {"tenant_id", "time"}]
    return own or [table.c.tenant_id]


def _after(table: Table) -> ColumnElement[bool]:
    kinds = [_type(column) for column in _key(table)]
    return tuple_(*_key(table)) > tuple_(*(param(f"after_{at}", kind) for at, kind in enumerate(kinds)))


def _type(column: Column[Any]) -> type[Date | BigInteger | String]:
    if isinstance(column.type, Integer):
        return BigInteger
    return Date if isinstance(column.type, Date) else String


def _page(table: Table, *which: ColumnElement[bool]) -> AnySelect:
    """The page is found first: PostgreSQL must not join all rows that come after it to their accounts."""
    found = select(table).where(table.c.tenant_id == TENANT, *which).order_by(*_key(table)).limit(LIMIT)
    page = found.subquery(table.name)
    row: ColumnElement[Any] = shown(table)
    source: FromClause = page
    if table is memberships:
        account = func.jsonb_build_object("email", users.c.email, "name", users.c.name, type_=JSONB)
        row = row.op("||", return_type=JSONB())(account)
        source = page.join(users, users.c.user_id == page.c.user_id)
    key = [page.c[column.name].label(f"key_{at}") for at, column in enumerate(_key(table))]
    return select(row.label("row"), *key).select_from(source).order_by(*key)


FIRST = {kind: _page(table) for kind, table in KINDS.items()}
NEXT = {kind: _page(table, _after(table)) for kind, table in KINDS.items()}


class SqlTenantExport:
    def is_position(self, position: ExportPosition) -> bool:
        """Whether a row can be there."""
        table = KINDS.get(position.kind)
        return table is not None and _typed(table, position.key) is not None

    async def records(
        self, session: SqlSession, tenant_id: str, after: ExportPosition | None, limit: int
    ) -> TenantRecords:
        """Up to ``limit`` rows after a position, or the first ones."""
        kinds = list(KINDS)
        found: list[tuple[str, AnyRow]] = []
        for kind in kinds if after is None else kinds[kinds.index(after.kind) :]:
            missing = limit + 1 - len(found)
            if after is not None and kind == after.kind:
                key = {f"after_{at}": value for at, value in enumerate(_typed(KINDS[kind], after.key) or ())}
                rows = await fetch_all(session, NEXT[kind], tenant_id=tenant_id, limit=missing, **key)
            else:
                rows = await fetch_all(session, FIRST[kind], tenant_id=tenant_id, limit=missing)
            found += [(kind, row) for row in rows]
            if len(found) > limit:
                break
        shown_rows = found[:limit]
        return TenantRecords(
            [TenantRecord(kind, row.row) for kind, row in shown_rows],
            _position(*shown_rows[-1]) if len(found) > limit else None,
        )


def _position(kind: str, row: AnyRow) -> ExportPosition:
    values = [getattr(row, f"key_{at}") for at, _ in enumerate(_key(KINDS[kind]))]
    key = tuple(value.isoformat() if isinstance(value, date) else value for value in values)
    return ExportPosition(kind, key)


def _typed(table: Table, key: ExportKey) -> Sequence[str | int | date] | None:
    """The values of a key. None: no row of the table has such a one."""
    columns = _key(table)
    if len(key) != len(columns):
        return None
    try:
        return [_value(_type(column), given) for column, given in zip(columns, key, strict=True)]
    except ValueError:
        return None


def _value(kind: type[Date | BigInteger | String], given: str | int) -> str | int | date:
    if kind is BigInteger:
        if isinstance(given, int):
            return given
    elif isinstance(given, str):
        return date.fromisoformat(given) if kind is Date else given
    raise ValueError
