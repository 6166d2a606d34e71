"""A filter (RFC 7644, section 3.4.2.2) as a condition on the rows of a resource type.

It selects what `scim2_models.ScimFilter.match` selects, the library's own reference implementation. An
equality of compared values is a containment of JSON, which an index serves.
"""

from collections.abc import Iterator
from typing import Any, Final

from scim2_models import AttributeBinding, Extension, InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, cast, column, exists, false, func, literal, select, true
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.sql.selectable import Select, TableValuedAlias
from sqlalchemy.types import Text

from hoc.cus.account.L6_drivers.tables import scim_group_members
from hoc.scim.columns import Columns, Relation
from hoc.scim.conditions import as_text, holds, json_at, text_at
from hoc.scim.element_filters import Condition, Joined, OfElements, TextOf, element_binding, equalities
from hoc.scim.folding import operand

MAX_LENGTH: Final = 4_000
MAX_COMPARISONS: Final = 50

# Of the values below an attribute, those that are no empty text. A comparison of other types is "unknown".
_PRESENT: Final = '.** ? (@.type() != "object" && @.type() != "array" && ((@ == "") is unknown || @ != ""))'


def condition(scim_filter: ScimFilter[Any], columns: Columns) -> Condition:
    """Which rows of the resource type match. Raises InvalidFilterException."""
    if sum(1 for _ in _comparisons(scim_filter.ast)) > MAX_COMPARISONS:
        raise InvalidFilterException(detail=f"A filter may have {MAX_COMPARISONS} comparisons at most.")
    of_model: type[ScimFilter[Any]] = ScimFilter.__class_getitem__(columns.model)
    return _OfRows(of_model(str(scim_filter)), columns).visit(scim_filter.ast)


def path_of(binding: AttributeBinding) -> list[str]:
    """Where the attribute is among a resource's compared values: the list, if it has several values."""
    urn = [str(binding.model.__schema__)] if issubclass(binding.model, Extension) else []
    sub = [binding.sub_field_name] if binding.sub_field_name and not binding.is_multivalued else []
    return [*urn, binding.field_name, *sub]


class _OfRows(Joined):
    def __init__(self, scim_filter: ScimFilter[Any], columns: Columns) -> None:
        self._filter = scim_filter
        self._columns = columns
        self._values: ColumnElement[Any] = columns.table.c.compared

    def visit_comparison(self, node: Comparison) -> Condition:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        given = operand(binding, node)
        if (relation := self._columns.relation_of(binding)) is not None:
            _require_value(binding.sub_field_name, node.attr_path)
            return _of_several(self._related(relation), relation.value, node.op, given)
        if (own := self._columns.of(binding)) is not None:
            return holds(own, node.op, given)
        _require_stored(binding, node.attr_path)
        if node.op is CompareOperator.eq and given is not None:
            return self._contains(
                binding, {binding.sub_field_name: given} if binding.sub_field_name else given
            )
        if not binding.is_multivalued:
            return holds(text_at(self._values, *path_of(binding)), node.op, as_text(given))
        each = self._elements(binding)
        text = _text_of(each)(binding.sub_field_name)
        return _of_several(select(literal(1)).select_from(each), text, node.op, as_text(given))

    def visit_present(self, node: Present) -> Condition:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if (relation := self._columns.relation_of(binding)) is not None:
            return exists(self._related(relation))
        if binding.field_name == "meta" and binding.sub_field_name is None:
            return true()
        if (own := self._columns.of(binding)) is not None:
            return func.coalesce(own != "", false()) if isinstance(own.type, Text) else own.is_not(None)
        _require_stored(binding, node.attr_path)
        path = path_of(binding)
        if binding.is_multivalued and binding.sub_field_name:
            path.append(binding.sub_field_name)
        steps = ".".join(f'"{step}"' for step in path)
        return func.jsonb_path_exists(self._values, cast(literal(f"$.{steps}{_PRESENT}"), JSONPATH))

    def visit_value_path(self, node: ValuePath) -> Condition:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if (relation := self._columns.relation_of(binding)) is not None:
            return exists(self._related(relation).where(self._on_related(relation, node)))
        if (element := self._equal_element(node)) is not None:
            return self._contains(binding, element)
        each = self._elements(binding)
        on_each = OfElements(self._filter, node.attr_path, _text_of(each)).visit(node.val_filter)
        return exists(select(literal(1)).select_from(each).where(on_each))

    def _equal_element(self, node: ValuePath) -> dict[str, Any] | None:
        """The values that one element is to have, if the filter in the brackets consists of equalities."""
        element: dict[str, Any] = {}
        for equality in equalities(node.val_filter) or ():
            binding = element_binding(self._filter, node.attr_path, equality.attr_path)
            if binding is None or binding.sub_field_name is None or binding.sub_field_name in element:
                return None
            element[binding.sub_field_name] = operand(binding, equality)
        return element or None

    def _contains(self, binding: AttributeBinding, value: Any) -> Condition:  # noqa: ANN401 - of any attribute
        """Whether the attribute is the value, or one of its values contains it."""
        head = [*path_of(binding)]
        if binding.is_multivalued:
            value = [value]
        elif binding.sub_field_name:
            head.pop()
        for name in reversed(head):
            value = {name: value}
        return self._values.contains(literal(value, JSONB))

    def _elements(self, binding: AttributeBinding) -> TableValuedAlias:
        given = json_at(self._values, *path_of(binding))
        return func.jsonb_array_elements(given).table_valued(column("value", JSONB)).alias()

    def _related(self, relation: Relation) -> Select[Any]:
        return select(scim_group_members.c.group_id).where(relation.rows_of(self._columns.table))

    def _on_related(self, relation: Relation, node: ValuePath) -> Condition:
        def value(sub: str | None) -> ColumnElement[Any]:
            _require_value(sub, node.attr_path)
            return relation.value

        return OfElements(self._filter, node.attr_path, value).visit(node.val_filter)


def _of_several(
    rows: Select[Any], value: ColumnElement[Any], operator: CompareOperator, given: object
) -> Condition:
    """Whether one of the values compares so. "Is not" holds if none of them "is", as in the library."""
    if operator is CompareOperator.ne:
        return ~exists(rows.where(~holds(value, operator, given)))
    return exists(rows.where(holds(value, operator, given)))


def _text_of(each: TableValuedAlias) -> TextOf:
    def text(sub: str | None) -> ColumnElement[Any]:
        return text_at(each.c.value, *([] if sub is None else [sub]))

    return text


def _require_value(sub: str | None, path: AttrPath) -> None:
    if sub not in {None, "value"}:
        raise InvalidFilterException(detail=f"{path}: filter by {path.attr}.value, the id.")


def _require_stored(binding: AttributeBinding, path: AttrPath) -> None:
    if binding.field_name in {"meta", "password"}:
        raise InvalidFilterException(detail=f"{path} cannot be filtered by.")


def _comparisons(node: FilterNode) -> Iterator[FilterNode]:
    match node:
        case Not():
            yield from _comparisons(node.expr)
        case LogicalExpr():
            for term in node.terms:
                yield from _comparisons(term)
        case ValuePath():
            yield from _comparisons(node.val_filter)
        case _:
            yield node
