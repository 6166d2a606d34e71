"""What Citus refuses, or sends to every shard, found in a statement's text by PostgreSQL's own parser.

A level is a SELECT, INSERT, UPDATE or DELETE without those within it. Citus, like PostgreSQL's planner, knows
within a level that columns are equal, and beyond it does not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pglast
from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, OnConflictAction

from hoc.cus.account.L6_drivers.citus import DISTRIBUTED
from hoc.cus.account.L6_drivers.tables import SCHEMA

BY_TENANT = frozenset(table.name for table in DISTRIBUTED)
CROSSES_TENANTS = "names no tenant"
LIMITS_ACROSS_SHARDS = "limits a lateral query of several tenants"
LOCKS_ACROSS_SHARDS = "locks rows of several tenants"
READS_IN_DO_UPDATE = "reads something else than the two rows in DO UPDATE"
GROUPS_BY_KEY = "reads a column that it does not group by, as only a key lets it"
CALLS_IN_CHANGE = "calls a function in UPDATE or DELETE that Citus cannot evaluate once"

_LEVELS = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)
_IMMUTABLE = "i"
_STABLE = "s"

VOLATILITY = (
    "SELECT proname::text AS name, max(provolatile::text) AS volatility FROM pg_proc GROUP BY proname"
)
"""The least certain volatility of the functions of a name: ``v`` is after ``s``, and ``s`` after ``i``."""


def broken_rules(sql: str, volatility: Mapping[str, str]) -> set[tuple[str, str]]:
    """The rules that the statement breaks, each with the table that it is about."""
    return {
        broken
        for parsed in pglast.parse_sql(sql)
        for level in _levels(parsed.stmt)
        for broken in _broken(level, volatility)
    }


def _broken(level: Any, volatility: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    tables = _tables(level)
    bound = _bound(level, tables)
    several = {name for alias, name in tables.items() if bound.get(alias) != "one"}
    if _is(level, ast.InsertStmt):
        yield from _broken_insert(level, volatility)
        return
    yield from ((CROSSES_TENANTS, name) for alias, name in tables.items() if alias not in bound)
    if getattr(level, "lockingClause", None):
        yield from ((LOCKS_ACROSS_SHARDS, name) for name in several)
    for part in _own(level):
        if _is(part, ast.RangeSubselect) and part.lateral and _is_limited(part.subquery):
            within = _tables(part.subquery)
            one = _bound(part.subquery, within)
            yield from ((LIMITS_ACROSS_SHARDS, within[alias]) for alias in within if one.get(alias) != "one")
    if getattr(level, "groupClause", None) and tables and _reads_ungrouped(level):
        yield from ((GROUPS_BY_KEY, name) for name in tables.values())
    changes = _is(level, ast.UpdateStmt, ast.DeleteStmt) and level.relation.relname in BY_TENANT
    if changes and any(_is_refused(part, volatility) for part in _own(level)):
        yield CALLS_IN_CHANGE, level.relation.relname


def _broken_insert(level: Any, volatility: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    table = level.relation.relname
    if level.relation.schemaname != SCHEMA or table not in BY_TENANT:
        return
    if "tenant_id" not in {column.name for column in level.cols or ()}:
        yield CROSSES_TENANTS, table
    conflict = level.onConflictClause
    if conflict is None or conflict.action != OnConflictAction.ONCONFLICT_UPDATE:
        return
    for part in _walk(conflict, into_levels=True):
        is_other_column = _is(part, ast.ColumnRef) and len(part.fields) > 1
        if is_other_column and part.fields[-2].sval not in {table, "excluded"}:
            yield READS_IN_DO_UPDATE, table
        if _is(part, ast.SubLink, ast.SQLValueFunction) or _volatility(part, volatility) != _IMMUTABLE:
            yield READS_IN_DO_UPDATE, table


def _tables(level: Any) -> dict[str, str]:
    """The distributed tables of a level, by the name that its columns are qualified with."""
    return {
        part.alias.aliasname if part.alias else part.relname: part.relname
        for part in _own(level)
        if _is(part, ast.RangeVar) and part.schemaname == SCHEMA and part.relname in BY_TENANT
    }


def _bound(level: Any, tables: Mapping[str, str]) -> dict[str, str]:
    """Those tables whose tenant is given: ``one``, or ``some`` for a list of tenants."""
    bound: dict[str, str] = {}
    equal: list[tuple[str, str]] = []
    for condition in _conditions(level):
        if not _is(condition, ast.A_Expr) or [each.sval for each in condition.name] != ["="]:
            continue
        sides = [_tenant_of(side, tables) for side in (condition.lexpr, condition.rexpr)]
        given = [_is_given(side) for side in (condition.lexpr, condition.rexpr)]
        if sides[0] and sides[1]:
            equal.append((sides[0], sides[1]))
        elif (named := sides[0] or sides[1]) and any(given):
            is_list = condition.kind == A_Expr_Kind.AEXPR_OP_ANY
            bound.setdefault(named, "some" if is_list else "one")
    for _ in tables:
        for one, other in (*equal, *((other, one) for one, other in equal)):
            if one in bound:
                bound.setdefault(other, bound[one])
    return bound


def _conditions(level: Any) -> Iterator[Any]:
    """What holds of each row of a level: its WHERE and ON, taken apart at each AND."""
    roots: list[Any] = [getattr(level, "whereClause", None)]
    roots += [part.quals for part in _own(level) if _is(part, ast.JoinExpr)]
    while roots:
        root = roots.pop()
        if _is(root, ast.BoolExpr) and root.boolop == BoolExprType.AND_EXPR:
            roots += root.args
        elif root is not None:
            yield root


def _tenant_of(side: Any, tables: Mapping[str, str]) -> str | None:
    """The table of this level whose ``tenant_id`` it is."""
    if not _is(side, ast.ColumnRef) or len(side.fields) < 2 or side.fields[-1].sval != "tenant_id":
        return None
    name: str = side.fields[-2].sval
    return name if name in tables else None


def _is_given(side: Any) -> bool:
    """Whether Citus knows the value before it plans: a parameter or a constant."""
    return _is(side.arg if _is(side, ast.TypeCast) else side, ast.ParamRef, ast.A_Const)


def _reads_ungrouped(level: Any) -> bool:
    """Whether it does so outside a function, such as an aggregate.

    Where no shard can match, Citus puts an empty table without a key in the place of a distributed one.
    """
    grouped = {_name_of(each) for each in level.groupClause}
    return any(
        _is(part, ast.ColumnRef) and _name_of(part) not in grouped
        for target in level.targetList
        for part in _outside_functions(target.val)
    )


def _name_of(column: Any) -> tuple[str, ...] | None:
    return tuple(each.sval for each in column.fields) if _is(column, ast.ColumnRef) else None


def _outside_functions(root: Any) -> Iterator[Any]:
    if _is(root, tuple):
        for each in root:
            yield from _outside_functions(each)
    elif _is(root, ast.Node) and not _is(root, ast.FuncCall, *_LEVELS):
        yield root
        for name in root:
            yield from _outside_functions(getattr(root, name))


def _is_limited(query: Any) -> bool:
    return query.limitCount is not None or query.limitOffset is not None


def _is_refused(part: Any, volatility: Mapping[str, str]) -> bool:
    found = _volatility(part, volatility)
    if found == _STABLE:
        return any(_is(below, ast.ColumnRef) for below in _walk(part.args or (), into_levels=False))
    return found != _IMMUTABLE


def _volatility(part: Any, volatility: Mapping[str, str]) -> str:
    return volatility[part.funcname[-1].sval] if _is(part, ast.FuncCall) else _IMMUTABLE


def _levels(root: Any) -> Iterator[Any]:
    return (part for part in _walk(root, into_levels=True) if isinstance(part, _LEVELS))


def _own(level: Any) -> Iterator[Any]:
    """The nodes of a level without those of the levels within it."""
    for name in level:
        yield from _walk(getattr(level, name), into_levels=False)


def _walk(root: Any, *, into_levels: bool) -> Iterator[Any]:
    if _is(root, tuple):
        for each in root:
            yield from _walk(each, into_levels=into_levels)
    elif _is(root, ast.Node) and (into_levels or not isinstance(root, _LEVELS)):
        yield root
        for name in root:
            yield from _walk(getattr(root, name), into_levels=into_levels)


def _is(node: Any, *kinds: type) -> bool:
    """`isinstance`, without the types of fields, each of which could be None for mypy."""
    return isinstance(node, kinds)
