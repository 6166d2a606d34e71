"""Searching a tenant's members by name and address, in about the same time in a tenant of any size.

The next members of the list are read first: among a few thousand, a common term fills the page. A term that
does not has few matches, which the trigrams of the whole tenant find.
"""

from itertools import product
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, String, Text, func, select, true
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.results import UserSummaryResult
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.account_lists import PATTERN, search_values
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.member_columns import ROLE, SUMMARY
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import memberships, users

EXAMINED: Final = 2_000
"""How many members are read in the list's order, beside those that an offset skips."""

_CONTAINS = func.strpos(memberships.c.searched, param("term", Text)) > 0
# Written into the statement, as the pattern is: a plan for a tenant of average size reads all of a large one.
_THIS_TENANT = param("tenant_id", String, literal_execute=True)
_AFTER = func.row(param("after_at", DateTime(timezone=True)), param("after_id", String))


def _members(*columns: ColumnElement[Any], by_role: bool, is_active: bool) -> AnySelect:
    members = select(memberships.c.user_id, memberships.c.role, memberships.c.joined_at, *columns)
    if by_role:
        members = members.where(memberships.c.role == ROLE)
    if is_active:
        return members.where(memberships.c.is_active)
    return members.join(users).where(~memberships.c.is_active, users.c.deleted_at.is_(None))


def _order(members: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:  # noqa: ANN401 - a table, or a CTE
    return members.c.joined_at, members.c.user_id


def _next(*, by_role: bool, is_active: bool, after: bool) -> AnySelect:
    """The matches among the next members, how many were read, and the matches among the first members."""
    first = (
        _members(_CONTAINS.label("matches"), by_role=by_role, is_active=is_active)
        .where(memberships.c.tenant_id == TENANT)
        .order_by(*_order(memberships))
        .limit(param("max_examined", Integer))
    )
    head = first.cte("head")
    read = first.where(func.row(*_order(memberships)) > _AFTER).cte("read") if after else head
    return _page(
        select(read).where(read.c.matches),
        order=_order(read),
        examined=select(func.count()).select_from(read),
        counted=select(func.count()).select_from(head),
        total=select(func.count()).select_from(head).where(head.c.matches),
    )


def _all(*, by_role: bool, is_active: bool, after: bool) -> AnySelect:
    """Finds all matches by their trigrams, and of these the page."""
    found = (
        _members(by_role=by_role, is_active=is_active)
        .where(memberships.c.tenant_id == _THIS_TENANT, memberships.c.searched.like(PATTERN), _CONTAINS)
        .cte("found")
        .prefix_with("MATERIALIZED")
    )
    return _page(
        select(found).where(*([func.row(*_order(found)) > _AFTER] if after else [])),
        order=_order(found),
        total=select(func.count()).select_from(found),
    )


def _page(matches: AnySelect, *, order: tuple[ColumnElement[Any], ...], **counts: AnySelect) -> AnySelect:
    """A page of the matches with these counts: one row of them if the page is empty.

    The accounts are joined with the page, not with all matches.
    """
    page = (
        matches.order_by(*order)
        .limit(param("row_limit", Integer))
        .offset(param("row_offset", Integer))
        .cte("page")
        .prefix_with("MATERIALIZED")
    )
    counted = select(*(count.scalar_subquery().label(name) for name, count in counts.items())).cte("counts")
    shown = [page.c[column.name] if column.name in {"user_id", "role"} else column for column in SUMMARY]
    return (
        select(*shown, page.c.joined_at, *counted.c)
        .select_from(counted.outerjoin(page, true()).outerjoin(users, users.c.user_id == page.c.user_id))
        .order_by(*_order(page))
    )


_KINDS = list(product((False, True), repeat=3))
NEXT = {kind: _next(by_role=kind[0], is_active=kind[1], after=kind[2]) for kind in _KINDS}
RARE = {kind: _all(by_role=kind[0], is_active=kind[1], after=kind[2]) for kind in _KINDS}

_summary = record_of(UserSummaryResult, *NEXT.values(), *RARE.values())


async def search_members(
    session: SqlSession,
    tenant_id: str,
    window: Window,
    *,
    term: str,
    role: Role | None,
    is_active: bool,
    examined: int = EXAMINED,
) -> tuple[Slice[UserSummaryResult], bool]:
    """A page of the members that match, and whether its total is only a part of all."""
    kind = (role is not None, is_active, window.after is not None)
    max_examined = examined + window.offset
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "term": term,
        "row_limit": window.limit + 1,
        "row_offset": window.offset,
    }
    if role is not None:
        values["role"] = role
    if window.after is not None:
        values |= {"after_at": window.after.at, "after_id": window.after.id}
    found = await fetch_all(session, NEXT[kind], **values, max_examined=max_examined)
    page = _slice(found, window)
    if not page.has_more and found[0].examined == max_examined:
        values |= search_values(term)
        return _slice(await fetch_all(session, RARE[kind], **values), window), False
    return page, found[0].counted == max_examined


def _slice(found: list[AnyRow], window: Window) -> Slice[UserSummaryResult]:
    rows = [row for row in found if row.user_id is not None]
    shown = rows[: window.limit]
    return Slice(
        [_summary(row) for row in shown],
        found[0].total,
        SortKey(shown[-1].joined_at, shown[-1].user_id) if shown else None,
        has_more=len(rows) > window.limit,
    )
