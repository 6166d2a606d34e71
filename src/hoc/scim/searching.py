"""A search as one statement: the page's rows, and how many match."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scim2_models import SearchRequest
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.selectable import Select, Subquery

from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.scim_resources import GROUPS_OF_USER, MEMBERS_OF_GROUP, Kind
from hoc.cus.account.L6_drivers.tables import scim_counts
from hoc.scim.columns import Columns
from hoc.scim.filters import condition
from hoc.scim.forms import Form, Part
from hoc.scim.sorting import Order, Position, sort_column

_RELATED = {"User": GROUPS_OF_USER, "Group": MEMBERS_OF_GROUP}
LIMIT, OFFSET = param("limit", BigInteger), param("offset", BigInteger)
Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Search:
    """What is asked for: all rows if ``limit`` is None. ``with_related``: kinds to show with related ones."""

    request: SearchRequest[Any]
    kinds: list[Columns]
    position: Position | None
    limit: int | None
    offset: int
    with_related: frozenset[Kind]

    def statement(self) -> tuple[Rows, dict[str, Any]]:
        """The statement, and the values of its parameters but for the tenant.

        Each row is a resource, with ``list_total``; a single row without an id if the page is empty.
        Raises InvalidFilterException or InvalidPathException.
        """
        form = Form.of(
            *self._parts(),
            is_descending=self._is_descending,
            goes_back=self.position is not None and self.position.direction == "previous",
            is_limited=self.limit is not None,
            with_related=self.with_related,
        )
        limit = {} if self.limit is None else {"limit": self.limit}
        return _statement(form), {**form.values, **limit, "offset": self.offset}

    @property
    def _is_descending(self) -> bool:
        order = SearchRequest.SortOrder.descending
        return self.request.sort_by is not None and self.request.sort_order == order

    def _parts(self) -> Iterator[Part]:
        for columns, value in zip(self.kinds, self._sort_values(), strict=True):
            matching = None if self.request.filter is None else condition(self.request.filter, columns)
            order = Order(value, columns.table.c.resource_id, self._is_descending)
            yield Part(
                columns, matching, value, None if self.position is None else order.beyond(self.position)
            )

    def _sort_values(self) -> list[ColumnElement[Any]]:
        """What each kind is sorted by, of one type: a kind without the attribute sorts as without a value."""
        values = [sort_column(self.request, kind) for kind in self.kinds]
        kind_of = next((value.type for value in values if value is not None), Text())
        return [cast(null(), kind_of) if value is None else value for value in values]


@lru_cache(maxsize=500)
def _statement(form: Form) -> Rows:
    """Building and compiling a statement takes several times as long as its execution."""
    parts = form.parts_with_parameters
    pages = [_page(form, part) for part in parts]
    rows = (pages[0] if len(pages) == 1 else _merged(form, pages)).subquery("found")
    totals = [_total(part) for part in parts]
    total = sum(totals[1:], start=totals[0])
    counted = select(total.label("list_total")).cte("counted")
    order = Order(rows.c.sort_value, rows.c.resource_id, form.is_descending)
    return (
        select(counted.c.list_total, *rows.c)
        .select_from(counted.outerjoin(rows, true()))
        .order_by(*order.by(backwards=form.goes_back))
    )


def _page(form: Form, part: Part) -> Rows:
    """The ids first, and the rows by them, so that rows that are passed over are not read."""
    columns, own = part.columns, part.columns.table.c
    order = Order(part.sort_value, own.resource_id, form.is_descending)
    keys = select(own.resource_id, part.sort_value.label("sort_value")).where(own.tenant_id == TENANT)
    for asked in (part.matching, part.beyond):
        if asked is not None:
            keys = keys.where(asked)
    keys = keys.order_by(*order.by(backwards=form.goes_back))
    if len(form.kinds) == 1:
        keys = _cut(form, keys)
    elif form.is_limited:
        keys = keys.limit(OFFSET + LIMIT)
    page = keys.subquery("page")
    related: Any = null()
    if columns.kind in form.with_related:
        related = _RELATED[columns.kind].of(page)
    return select(
        literal(columns.kind, Text).label("kind"),
        page.c.sort_value,
        own.resource_id,
        own.resource,
        own.version,
        own.created_at,
        own.updated_at,
        cast(related, own.resource.type).label("related"),
    ).select_from(
        page.join(columns.table, (own.tenant_id == TENANT) & (own.resource_id == page.c.resource_id))
    )


def _merged(form: Form, pages: list[Rows]) -> Rows:
    both: Subquery = union_all(*pages).subquery("both")
    order = Order(both.c.sort_value, both.c.resource_id, form.is_descending)
    return _cut(form, select(*both.c).order_by(*order.by(backwards=form.goes_back)))


def _cut(form: Form, rows: Rows) -> Rows:
    rows = rows.offset(OFFSET)
    return rows.limit(LIMIT) if form.is_limited else rows


def _total(part: Part) -> ColumnElement[int]:
    columns, own = part.columns, part.columns.table.c
    if part.matching is None:
        stored = select(scim_counts.c.resources).where(
            scim_counts.c.tenant_id == TENANT, scim_counts.c.kind == literal(columns.kind, Text)
        )
        return func.coalesce(stored.scalar_subquery(), literal_column("0"))
    return (
        select(func.count())
        .select_from(columns.table)
        .where(own.tenant_id == TENANT, part.matching)
        .scalar_subquery()
    )
