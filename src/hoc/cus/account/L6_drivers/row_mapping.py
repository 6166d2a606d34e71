"""Rows as the domain's dataclasses."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from hoc.cus.account.L6_drivers.execution import AnyRow

T = TypeVar("T")


class Selecting(Protocol):
    """A statement, or a `Paged` list, with the columns of its rows."""

    @property
    def selected_columns(self) -> Any: ...  # noqa: ANN401 - SQLAlchemy's collections of columns have several types


def record_of(kind: type[T], *statements: Selecting) -> Callable[[AnyRow], T]:
    """Makes a function that turns a row of these statements into ``kind``, a frozen dataclass without slots.

    The function takes the row's first values as the fields, by position: calling the dataclass's own
    ``__init__``, which sets one field after the other, takes half as long again.

    Raises:
        TypeError: a statement's first columns are not named like the fields, in their order.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # of a dataclass
    for statement in statements:
        columns = [column.name for column in statement.selected_columns][: len(names)]
        if columns != names:
            raise TypeError(
                f"{kind.__name__} has the fields {names}, but its statement the columns {columns}."
            )

    def build(row: AnyRow) -> T:
        record = object.__new__(kind)
        vars(record).update(zip(names, row, strict=False))
        return record

    return build
