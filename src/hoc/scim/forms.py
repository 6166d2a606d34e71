"""The form of a search: searches that differ in values alone are one statement, built and compiled once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, tuple_
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import replacement_traverse

from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.scim_resources import Kind
from hoc.scim.columns import Columns

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no type for it


@dataclass(frozen=True)
class Part:
    """What is asked of the resources of one kind. ``beyond``: those behind the position of a cursor."""

    columns: Columns
    matching: ColumnElement[bool] | None
    sort_value: ColumnElement[Any]
    beyond: ColumnElement[bool] | None

    @property
    def expressions(self) -> list[ColumnElement[Any]]:
        given = (self.matching, self.sort_value, self.beyond)
        return [each for each in given if each is not None]

    def with_parameters(self, parameters: Mapping[Any, BindParameter[Any]]) -> "Part":
        def parameter_of(element: Any, **_options: Any) -> Any:  # noqa: ANN401 - of any type
            return parameters.get(element)

        def replaced(given: ColumnElement[Any] | None) -> Any:  # noqa: ANN401 - of the same type
            return None if given is None else replacement_traverse(given, {}, parameter_of)

        return replace(
            self,
            matching=replaced(self.matching),
            sort_value=replaced(self.sort_value),
            beyond=replaced(self.beyond),
        )


@dataclass(frozen=True)
class Form:
    """Two forms are equal if their statements are."""

    text: str
    kinds: tuple[Kind, ...]
    is_descending: bool
    goes_back: bool
    is_limited: bool
    with_related: frozenset[Kind]
    parts: tuple[Part, ...] = field(compare=False)
    _compiled: SQLCompiler = field(compare=False)

    @classmethod
    def of(cls, *parts: Part, **given: Any) -> "Form":  # noqa: ANN401 - the other fields
        asked = tuple_(*(expression for part in parts for expression in part.expressions))
        compiled = asked.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - nothing else has parameters
        kinds: tuple[Kind, ...] = tuple(part.columns.kind for part in parts)
        return cls(str(compiled), kinds, parts=parts, _compiled=compiled, **given)

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statement's parameters, but for the tenant and the page."""
        return {name: bind.effective_value for bind, name in self._names.items()}

    @property
    def parts_with_parameters(self) -> list[Part]:
        """The parts with a parameter in place of each value."""
        parameters = {bind: param(name, bind.type) for bind, name in self._names.items()}
        return [part.with_parameters(parameters) for part in self.parts]

    @cached_property
    def _names(self) -> dict[BindParameter[Any], str]:
        """Each value's name: its place in the text, which searches of one form have in common."""
        binds = [self._compiled.binds[name] for name in self._compiled.positiontup or ()]
        return {bind: f"value_{place}" for place, bind in enumerate(binds) if bind.unique}
