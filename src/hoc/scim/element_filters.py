"""Conditions on one value of an attribute with several: what stands in the brackets of a filter."""

from collections.abc import Callable
from typing import Any

from scim2_models import AttributeBinding, InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, false, not_, or_

from hoc.scim.conditions import as_text, holds
from hoc.scim.folding import operand

Condition = ColumnElement[bool]
TextOf = Callable[[str | None], ColumnElement[Any]]
"""A value's sub-attribute by its name in scim2-models, or the value itself."""


class Joined(FilterVisitor[Condition]):
    """How conditions are joined, whatever they are on."""

    def visit_not(self, node: Not) -> Condition:
        return not_(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        join = and_ if node.op is LogicalOperator.and_ else or_
        return join(*(self.visit(term) for term in node.terms))


class OfElements(Joined):
    def __init__(self, scim_filter: ScimFilter[Any], head: AttrPath, text_of: TextOf) -> None:
        self._filter = scim_filter
        self._head = head
        self._text_of = text_of

    def visit_comparison(self, node: Comparison) -> Condition:
        binding = element_binding(self._filter, self._head, node.attr_path)
        if binding is None:
            return false()
        given = operand(binding, node)
        return holds(self._text_of(binding.sub_field_name), node.op, as_text(given))

    def visit_present(self, node: Present) -> Condition:
        binding = element_binding(self._filter, self._head, node.attr_path)
        if binding is None:
            return false()
        text = self._text_of(binding.sub_field_name)
        return and_(text.is_not(None), text.is_distinct_from(""))

    def visit_value_path(self, node: ValuePath) -> Condition:
        raise InvalidFilterException(detail=f"A value of {self._head} has no values to select: {node}.")


def element_binding(scim_filter: ScimFilter[Any], head: AttrPath, path: AttrPath) -> AttributeBinding | None:
    """The attribute that a path in the brackets behind ``head`` names.

    The values of an attribute that is not complex go by the name ``value``.
    """
    nested = AttrPath(head.attr, path.attr, head.uri)
    binding = scim_filter.resolve(nested, strict=False)
    if binding is None and path.attr.lower() == "value" and path.sub_attr is None:
        return scim_filter.resolve(head, strict=False)
    return binding


def equalities(node: FilterNode) -> list[Comparison] | None:
    """The comparisons of a filter that is made of equalities, all of which are to hold. Else None."""
    terms = node.terms if isinstance(node, LogicalExpr) and node.op is LogicalOperator.and_ else (node,)
    found = [
        term
        for term in terms
        if isinstance(term, Comparison) and term.op is CompareOperator.eq and term.value is not None
    ]
    return found if len(found) == len(terms) else None
