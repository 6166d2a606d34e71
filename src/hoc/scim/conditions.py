"""Comparing a column, or a value among the compared ones, with what a filter gives."""

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any, Final

from scim2_models import InvalidFilterException
from scim2_models.path import CompareOperator
from sqlalchemy import Boolean, Column, ColumnElement, DateTime, Text, and_, cast, false, func, literal
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

_TEXT_ONLY: Final = frozenset({CompareOperator.co, CompareOperator.sw, CompareOperator.ew})
_COMPARED: Final[
    Mapping[CompareOperator, Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[Any]]]
] = {
    CompareOperator.eq: eq,
    CompareOperator.co: lambda column, value: func.strpos(column, value) > 0,
    CompareOperator.sw: func.starts_with,
    # right() of a shorter text is that text.
    CompareOperator.ew: lambda column, value: func.right(column, func.length(value)) == value,
    CompareOperator.gt: gt,
    CompareOperator.ge: ge,
    CompareOperator.lt: lt,
    CompareOperator.le: le,
}


def holds(column: ColumnElement[Any], operator: CompareOperator, given: object) -> ColumnElement[bool]:
    """Whether the comparison holds, never NULL. An absent value differs from every value.

    Raises InvalidFilterException: PostgreSQL cannot hold the value.
    """
    if given is None:
        return _with_nothing(column, operator)
    if operator in _TEXT_ONLY and isinstance(column.type, Boolean | DateTime):
        return false()
    value = bound(given)
    if operator is CompareOperator.ne:
        return column.is_distinct_from(value)
    compared = _COMPARED[operator](column, value)
    # An index serves a comparison, and none that stands in COALESCE.
    if isinstance(column, Column):
        return and_(column.is_not(None), compared)
    return func.coalesce(compared, false())


def bound(given: object) -> ColumnElement[Any]:
    """The value as a parameter."""
    if isinstance(given, bool):
        return literal(given, Boolean)
    if isinstance(given, datetime):
        return literal(given, DateTime(timezone=True))
    if not isinstance(given, str):
        raise InvalidFilterException(detail=f"A filter compares text, booleans and times, not {given!r}.")
    return literal(given, Text)


def as_text(given: object) -> object:
    """A value as `text_at` shows it."""
    return str(given).lower() if isinstance(given, bool) else given


def text_at(document: ColumnElement[Any], *path: str) -> ColumnElement[str]:
    """The value at a path of JSON as text, compared by code points. NULL if there is none."""
    at = document.op("#>>")(literal(list(path), ARRAY(Text)))
    return cast(at, Text).collate("C")


def json_at(document: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    return document.op("#>", return_type=JSONB())(literal(list(path), ARRAY(Text)))


def _with_nothing(column: ColumnElement[Any], operator: CompareOperator) -> ColumnElement[bool]:
    if operator is CompareOperator.eq:
        return column.is_(None)
    return column.is_not(None) if operator is CompareOperator.ne else false()
