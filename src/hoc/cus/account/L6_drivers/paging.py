"""Lists read by keyset or by offset, with their exact total."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnClause, ColumnElement, Integer, Label, String, func, select, true
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, param

T = TypeVar("T")


class Paged:
    """The statements of one list, each of which reads a window's rows and the exact total.

    Args:
        rows: selects the list, unordered.
        at: the column that orders it.
        row_id: the column that orders rows of equal ``at``.
        total: a scalar select.
        plans_each: the limit is written into the statements, for a list that is planned for its values.
    """

    def __init__(
        self,
        rows: AnySelect,
        *,
        at: ColumnElement[Any],
        row_id: ColumnElement[str],
        total: ColumnElement[int],
        newest_first: bool = False,
        plans_each: bool = False,
    ) -> None:
        rows, self._at = _with_column(rows, at, "sort_at")
        rows, self._id = _with_column(rows, row_id, "sort_id")
        after_at, after_id = param("after_at", DateTime(timezone=True)), param("after_id", String)
        position, after = func.row(at, row_id), func.row(after_at, after_id)
        is_after = position < after if newest_first else position > after
        order = (at.desc(), row_id.desc()) if newest_first else (at, row_id)
        limited = rows.order_by(*order).limit(param("row_limit", Integer, literal_execute=plans_each))
        # A statement of its own for offsets: PostgreSQL plans one with an unknown offset anew each time.
        self.first = self._with_total(limited, total, newest_first=newest_first)
        self.by_offset = self._with_total(
            limited.offset(param("row_offset", Integer)), total, newest_first=newest_first
        )
        self.by_key = self._with_total(limited.where(is_after), total, newest_first=newest_first)

    @property
    def selected_columns(self) -> Iterable[ColumnElement[Any]]:
        """The columns of each of the statements."""
        return self.first.selected_columns

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
        # An empty page is one row, which has the total and NULL for everything else.
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
    """The rows with this column, added as ``name`` unless they have it, and its name in them."""
    for selected in rows.selected_columns:
        if getattr(selected, "element", selected) is column and isinstance(selected, ColumnClause | Label):
            return rows, selected.name
    return rows.add_columns(column.label(name)), name
