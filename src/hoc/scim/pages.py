"""The pages of a search, and what of a resource they show."""

from functools import cached_property
from typing import Any

from scim2_models import Resource, ResponseParameters
from scim2_server.storage import SearchPage

from hoc.cus.account.L6_drivers.execution import AnyRow
from hoc.cus.account.L6_drivers.scim_resources import Kind
from hoc.scim.rows import document_of, resource_of
from hoc.scim.sorting import Position


def shows_related(kind: Kind, parameters: ResponseParameters[Any] | None) -> bool:
    """Whether the answer has a user's groups, or a group's members."""
    if parameters is None:
        return True
    name = "groups" if kind == "User" else "members"
    if parameters.attributes:
        return any(_names(path, name) for path in parameters.attributes)
    excluded = {str(path).rpartition(":")[2].lower() for path in parameters.excluded_attributes or ()}
    return name not in excluded


def _names(path: object, name: str) -> bool:
    return str(path).rpartition(":")[2].partition(".")[0].lower() in {name, ""}


class StoredPage(SearchPage):
    """A page of resources as JSON. Models of them are made only if somebody asks, as that takes longest."""

    def __init__(self, total: int, documents: list[dict[str, Any]]) -> None:
        self.total = total
        self.documents = documents

    @cached_property
    def resources(self) -> list[Resource[Any]]:  # type: ignore[override]  # nobody assigns it
        return [resource_of(document) for document in self.documents]


def index_page(rows: list[AnyRow], total: int) -> StoredPage:
    return StoredPage(total, [document_of(row.kind, row, row.related) for row in rows])


def cursor_page(rows: list[AnyRow], total: int, count: int | None, at: Position | None) -> StoredPage:
    if count == 0:
        return StoredPage(total, [])
    goes_back = at is not None and at.direction == "previous"
    has_more = count is not None and len(rows) > count
    rows = rows[:count]
    if goes_back:
        rows.reverse()
    page = index_page(rows, total)
    if rows and (has_more or goes_back):
        page.next = Position("next", rows[-1].sort_value, rows[-1].resource_id).as_json()
    if rows and (has_more if goes_back else at is not None):
        page.previous = Position("previous", rows[0].sort_value, rows[0].resource_id).as_json()
    if goes_back and not has_more:
        page.previous = None
    return page
