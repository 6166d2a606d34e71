"""What the drivers' statements have in common: paging, quotas, executing on the caller's session."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnClause,
    ColumnElement,
    Executable,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    case,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.selectable import LateralFromClause
from sqlalchemy.types import DateTime

from hoc.autocommit import AutocommitConnection
from hoc.autocommit import Row as AutocommitRow
from hoc.cus.account.L5_schemas.records import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.values import PLAN_QUOTAS
from hoc.cus.account.L6_drivers.tables import memberships, tenants

T = TypeVar("T")

AnyRow: TypeAlias = Row[*tuple[Any, ...]] | AutocommitRow
AnySelect: TypeAlias = Select[*tuple[Any, ...]]

_PREFIX = "given_"

SqlSession: TypeAlias = AsyncSession | AsyncConnection | AutocommitConnection


def param(name: str, kind: Any, *, literal_execute: bool = False) -> BindParameter[Any]:  # noqa: ANN401 - a type or an instance of one
    """A bind parameter, prefixed: SQLAlchemy takes one named like a column for a value to set."""
    return bindparam(f"{_PREFIX}{name}", type_=kind, literal_execute=literal_execute)


TENANT = param("tenant_id", String)
USER = param("user_id", String)
NOW = param("now", DateTime(timezone=True))


async def fetch_one(session: SqlSession, statement: Executable, **values: Any) -> AnyRow | None:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return result.first()


async def fetch_all(session: SqlSession, statement: Executable, **values: Any) -> list[AnyRow]:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return list(result.all())


def record_of(kind: type[T]) -> Callable[[AnyRow], T]:
    """Makes a frozen dataclass, without slots, of a row whose first columns are its fields, in their order.

    Its own ``__init__``, which sets one field after the other, takes half as long again.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # of a dataclass

    def build(row: AnyRow) -> T:
        record = object.__new__(kind)
        vars(record).update(zip(names, row, strict=False))
        return record

    return build


def any_of(column: ColumnElement[str], parameter: str) -> ColumnElement[bool]:
    """``column = ANY(:parameter)``: one prepared statement for lists of every length."""
    return column == func.any(param(parameter, ARRAY(String)))


def membership_of(tenant_id: ColumnElement[str], user_id: ColumnElement[str]) -> LateralFromClause:
    """The first membership that is not before this pair, to be joined by equality.

    Looked for by equality alone, it may be found by an index of lists: the planner takes every tenant for an
    average one, and reads all members of a large one. In this order, only one index has it first.
    """
    order = (memberships.c.user_id, memberships.c.tenant_id)
    not_before = func.row(*order) >= func.row(user_id, tenant_id)
    return select(memberships).where(not_before).order_by(*order).limit(literal_column("1")).lateral("one")


def quota(name: str) -> ColumnElement[int]:
    """The tenant's own quota, else its plan's."""
    plans: dict[str, ColumnElement[int]] = {
        plan: literal_column(str(getattr(quotas, name)), Integer) for plan, quotas in PLAN_QUOTAS.items()
    }
    of_plan = case(plans, value=tenants.c.plan)
    return func.coalesce(tenants.c[name], of_plan).label(name)


class Paged:
    """A list by keyset or offset: the rows of a window and the exact total, in one statement each.

    ``rows`` selects the list unordered; ``at`` and ``row_id`` order it; ``total`` is a scalar select.
    The total comes in a row of its own kind, so that it is there for an empty page too.
    """

    def __init__(
        self,
        rows: AnySelect,
        *,
        at: ColumnElement[Any],
        row_id: ColumnElement[str],
        total: ColumnElement[int],
        newest_first: bool = False,
    ) -> None:
        rows, self._at = _with_column(rows, at, "sort_at")
        rows, self._id = _with_column(rows, row_id, "sort_id")
        after_at, after_id = (
            param("after_at", DateTime(timezone=True)),
            param("after_id", String),
        )
        position = func.row(at, row_id)
        reached = (
            position < func.row(after_at, after_id)
            if newest_first
            else position > func.row(after_at, after_id)
        )
        order = (at.desc(), row_id.desc()) if newest_first else (at, row_id)
        limited = rows.order_by(*order).limit(param("row_limit", Integer))
        # By itself, because PostgreSQL plans an offset it does not know anew each time.
        self.first = self._with_total(limited, total, newest_first=newest_first)
        self.by_offset = self._with_total(
            limited.offset(param("row_offset", Integer)), total, newest_first=newest_first
        )
        self.by_key = self._with_total(limited.where(reached), total, newest_first=newest_first)

    async def fetch(
        self,
        session: SqlSession,
        window: Window,
        build: Callable[[AnyRow], T],
        **values: Any,  # noqa: ANN401 - bind values are of any type
    ) -> Slice[T]:
        values["row_limit"] = window.limit + 1
        if window.after is not None:
            statement = self.by_key
            values |= {"after_at": window.after.at, "after_id": window.after.id}
        elif window.offset:
            statement, values["row_offset"] = self.by_offset, window.offset
        else:
            statement = self.first
        found = await fetch_all(session, statement, **values)
        # An empty page is one row, of the total alone.
        rows = [] if getattr(found[0], self._id) is None else found
        shown = rows[: window.limit]
        return Slice(
            rows=[build(row) for row in shown],
            total=found[0].list_total,
            last_key=self._key_of(shown[-1]) if shown else None,
            has_more=len(rows) > window.limit,
        )

    def _key_of(self, row: AnyRow) -> SortKey:
        return SortKey(getattr(row, self._at), getattr(row, self._id))

    def _with_total(self, rows: AnySelect, total: ColumnElement[int], *, newest_first: bool) -> AnySelect:
        counted = select(total.label("list_total")).cte("counted")
        page = rows.subquery("page")
        position = (page.c[self._at], page.c[self._id])
        order = [column.desc() for column in position] if newest_first else position
        return (
            select(*page.c, counted.c.list_total)
            .select_from(counted.outerjoin(page, true()))
            .order_by(*order)
        )


def _with_column(rows: AnySelect, column: ColumnElement[Any], name: str) -> tuple[AnySelect, str]:
    """Rows with a column, and its name in them: its own where they have it anyway."""
    for selected in rows.selected_columns:
        if selected is column and isinstance(selected, ColumnClause):
            return rows, selected.name
    return rows.add_columns(column.label(name)), name
