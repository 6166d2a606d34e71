"""The order of a search (RFC 7644, section 3.4.2.3) and the positions of its pages (RFC 9865)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from scim2_models import InvalidCursorException, InvalidPathException, SearchRequest
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    and_,
    column,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Text

from hoc.scim.columns import Columns
from hoc.scim.conditions import json_at, text_at
from hoc.scim.filters import path_of

Direction = Literal["next", "previous"]


@dataclass(frozen=True)
class Position:
    """The page after, or before, the resource with this id and value to sort by."""

    direction: Direction
    value: str | bool | datetime | None
    resource_id: str

    def as_json(self) -> dict[str, Any]:
        is_time = isinstance(self.value, datetime)
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return {"d": self.direction, "v": value, "t": is_time, "i": self.resource_id}

    @classmethod
    def of(cls, given: Any) -> "Position":  # noqa: ANN401 - what a cursor holds
        """Raises InvalidCursorException."""
        try:
            value = datetime.fromisoformat(given["v"]) if given["t"] else given["v"]
            return cls(given["d"], value, given["i"])
        except (KeyError, TypeError, ValueError):
            raise InvalidCursorException from None


def sort_column(search: SearchRequest[Any], columns: Columns) -> ColumnElement[Any] | None:
    """What the rows are sorted by: NULL for a row without a value, None for a type without the attribute.

    Raises InvalidPathException.
    """
    binding = search.sort_binding(columns.model)
    if binding is None:
        return None
    if columns.relation_of(binding) is not None or (
        binding.field_name == "meta" and columns.of(binding) is None
    ):
        raise InvalidPathException(
            path=str(search.sort_by), detail=f"Resources cannot be sorted by {search.sort_by}."
        )
    if (own := columns.of(binding)) is not None:
        return own
    values = columns.table.c.compared
    if not binding.is_multivalued:
        return text_at(values, *path_of(binding))
    given = json_at(values, *path_of(binding))
    each = func.jsonb_array_elements(given).table_valued(column("value", JSONB)).alias()
    primary = (
        select(each.c.value)
        .where(each.c.value.contains(literal({"primary": True}, JSONB)))
        .limit(1)
        .scalar_subquery()
    )
    chosen = func.coalesce(primary, given[0], type_=JSONB)
    return text_at(chosen, *([binding.sub_field_name] if binding.sub_field_name else []))


@dataclass(frozen=True)
class Order:
    """Rows by ``value``, absent values last, then by id; all the other way round if ``descending``."""

    value: ColumnElement[Any]
    resource_id: ColumnElement[str]
    descending: bool

    def by(self, *, backwards: bool = False) -> list[ColumnElement[Any]]:
        columns = [self.value, self.resource_id]
        # PostgreSQL puts NULL last, and first in descending order.
        return [each.desc() if self.descending != backwards else each.asc() for each in columns]

    def beyond(self, position: Position) -> ColumnElement[bool]:
        """The rows behind the position, in its direction."""
        descending = self.descending != (position.direction == "previous")
        own_id = literal(position.resource_id, Text)
        if position.value is None:
            other_id = self.resource_id < own_id if descending else self.resource_id > own_id
            rest = and_(self.value.is_(None), other_id)
            return or_(self.value.is_not(None), rest) if descending else rest
        # As a comparison of rows, which an index serves.
        own = tuple_(literal(position.value, _type_of(position.value)), own_id)
        other = tuple_(self.value, self.resource_id)
        if descending:
            return other < own
        is_given = isinstance(self.value, Column) and not self.value.nullable
        return other > own if is_given else or_(other > own, self.value.is_(None))


def _type_of(value: str | bool | datetime) -> Any:  # noqa: ANN401 - a type of SQLAlchemy
    if isinstance(value, bool):
        return Boolean
    return DateTime(timezone=True) if isinstance(value, datetime) else Text
