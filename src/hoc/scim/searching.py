"""A search as one statement: the page's rows, and how many match."""

from dataclasses import dataclass
from typing import Any

from scim2_models import SearchRequest
from sqlalchemy import ColumnElement, Text, cast, func, literal, literal_column, null, select, true, union_all
from sqlalchemy.sql.selectable import Select, Subquery

from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.scim_resources import GROUPS_OF_USER, MEMBERS_OF_GROUP, Kind
from hoc.cus.account.L6_drivers.tables import scim_counts
from hoc.scim.columns import Columns
from hoc.scim.filters import condition
from hoc.scim.sorting import Order, Position, sort_column

_RELATED = {"User": GROUPS_OF_USER, "Group": MEMBERS_OF_GROUP}
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

    @property
    def is_descending(self) -> bool:
        order = SearchRequest.SortOrder.descending
        return self.request.sort_by is not None and self.request.sort_order == order

    def statement(self) -> Rows:
        """Each row is a resource, with ``list_total``; a single row without an id if the page is empty.

        Raises InvalidFilterException or InvalidPathException.
        """
        conditions = [(kind, self._condition(kind)) for kind in self.kinds]
        values = self._sort_values()
        is_alone = len(conditions) == 1
        pages = [
            self._page(kind, matching, value, is_alone=is_alone)
            for (kind, matching), value in zip(conditions, values, strict=True)
        ]
        rows = (pages[0] if is_alone else self._merged(pages)).subquery("found")
        totals = [self._total(*each) for each in conditions]
        total = sum(totals[1:], start=totals[0])
        counted = select(total.label("list_total")).cte("counted")
        order = Order(rows.c.sort_value, rows.c.resource_id, self.is_descending)
        return (
            select(counted.c.list_total, *rows.c)
            .select_from(counted.outerjoin(rows, true()))
            .order_by(*order.by(backwards=self._goes_back))
        )

    @property
    def _goes_back(self) -> bool:
        return self.position is not None and self.position.direction == "previous"

    def _condition(self, kind: Columns) -> ColumnElement[bool] | None:
        return None if self.request.filter is None else condition(self.request.filter, kind)

    def _sort_values(self) -> list[ColumnElement[Any]]:
        """What each kind is sorted by, of one type: a kind without the attribute sorts as without a value."""
        values = [sort_column(self.request, kind) for kind in self.kinds]
        kind_of = next((value.type for value in values if value is not None), Text())
        return [cast(null(), kind_of) if value is None else value for value in values]

    def _page(
        self,
        kind: Columns,
        matching: ColumnElement[bool] | None,
        value: ColumnElement[Any],
        *,
        is_alone: bool,
    ) -> Rows:
        """The ids first, and the rows by them, so that rows that are passed over are not read."""
        own = kind.table.c
        order = Order(value, own.resource_id, self.is_descending)
        keys = select(own.resource_id, value.label("sort_value")).where(own.tenant_id == TENANT)
        if matching is not None:
            keys = keys.where(matching)
        if self.position is not None:
            keys = keys.where(order.beyond(self.position))
        keys = keys.order_by(*order.by(backwards=self._goes_back))
        if self.limit is not None:
            keys = keys.limit(self.limit if is_alone else self.offset + self.limit)
        if is_alone and self.offset:
            keys = keys.offset(self.offset)
        page = keys.subquery("page")
        related: Any = null()
        if kind.kind in self.with_related:
            related = _RELATED[kind.kind].of(page)
        return select(
            literal(kind.kind, Text).label("kind"),
            page.c.sort_value,
            own.resource_id,
            own.resource,
            own.version,
            own.created_at,
            own.updated_at,
            cast(related, own.resource.type).label("related"),
        ).select_from(
            page.join(kind.table, (own.tenant_id == TENANT) & (own.resource_id == page.c.resource_id))
        )

    def _merged(self, pages: list[Rows]) -> Rows:
        both: Subquery = union_all(*pages).subquery("both")
        order = Order(both.c.sort_value, both.c.resource_id, self.is_descending)
        merged = select(*both.c).order_by(*order.by(backwards=self._goes_back)).offset(self.offset)
        return merged if self.limit is None else merged.limit(self.limit)

    def _total(self, kind: Columns, matching: ColumnElement[bool] | None) -> ColumnElement[int]:
        if matching is None:
            stored = select(scim_counts.c.resources).where(
                scim_counts.c.tenant_id == TENANT, scim_counts.c.kind == literal(kind.kind, Text)
            )
            return func.coalesce(stored.scalar_subquery(), literal_column("0"))
        own = kind.table.c
        return (
            select(func.count())
            .select_from(kind.table)
            .where(own.tenant_id == TENANT, matching)
            .scalar_subquery()
        )
