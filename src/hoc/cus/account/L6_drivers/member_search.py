"""Searching a tenant's members by name and address, in work that is bounded in a tenant of any size.

A term with few matches among all accounts is looked up in their trigram index, and its matches are then
found among the tenant's members. A term with more is common: then the tenant's members are read in the list's
order, a bounded number for each page, and the next page goes on after them.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, String, Text, func, literal_column, or_, select, true
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.results import UserSummaryResult
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.account_lists import MATCHES, search_values
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.member_columns import ROLE, SUMMARY
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import memberships, users

MAX_CANDIDATES: Final = 2_000
"""The most accounts, of all tenants, that are looked for among the tenant's members."""
MAX_EXAMINED: Final = 5_000
"""The most members that are read for a page of a common term."""

_TERM = param("term", Text)
_CONTAINS = or_(
    *(func.strpos(text, _TERM) > 0 for text in (users.c.email_key, users.c.name_key, users.c.email))
)
_MEMBERS = memberships.join(users)

CANDIDATES = select(func.count()).select_from(
    select(users.c.user_id).where(MATCHES).limit(literal_column(str(MAX_CANDIDATES + 1))).subquery("found")
)


def _kind(*, by_role: bool, is_active: bool) -> list[ColumnElement[bool]]:
    active = memberships.c.is_active if is_active else ~memberships.c.is_active
    by = [memberships.c.role == ROLE] if by_role else []
    return [memberships.c.tenant_id == TENANT, active, *by]


def _rare(*, by_role: bool, is_active: bool) -> Paged:
    matches = (MATCHES, users.c.deleted_at.is_(None), *_kind(by_role=by_role, is_active=is_active))
    return Paged(
        select(*SUMMARY).select_from(_MEMBERS).where(*matches),
        at=memberships.c.joined_at,
        row_id=memberships.c.user_id,
        total=select(func.count()).select_from(_MEMBERS).where(*matches).scalar_subquery(),
    )


def _common(*, by_role: bool, is_active: bool, after: bool) -> AnySelect:
    """The matches among the next members, and how many were read and which was the last."""
    order = (memberships.c.joined_at, memberships.c.user_id)
    examined = (
        select(memberships)
        .where(*_kind(by_role=by_role, is_active=is_active))
        .order_by(*order)
        .limit(param("max_examined", Integer))
    )
    if after:
        key = func.row(param("after_at", DateTime(timezone=True)), param("after_id", String))
        examined = examined.where(func.row(*order) > key)
    read = examined.cte("read")
    columns = [read.c[column.name] if column.name in {"user_id", "role"} else column for column in SUMMARY]
    page = (
        select(*columns, read.c.joined_at)
        .select_from(read.join(users, users.c.user_id == read.c.user_id))
        .where(_CONTAINS, users.c.deleted_at.is_(None))
        .order_by(read.c.joined_at, read.c.user_id)
        .limit(param("row_limit", Integer))
        .offset(param("row_offset", Integer))
        .subquery("page")
    )
    last = (
        select(read.c.joined_at, read.c.user_id)
        .order_by(read.c.joined_at.desc(), read.c.user_id.desc())
        .limit(literal_column("1"))
        .subquery("last")
    )
    count = select(func.count().label("examined")).select_from(read).subquery("count")
    return (
        select(*page.c, count.c.examined, last.c.joined_at.label("last_at"), last.c.user_id.label("last_id"))
        .select_from(count.outerjoin(last, true()).outerjoin(page, true()))
        .order_by(page.c.joined_at, page.c.user_id)
    )


_FLAGS = (False, True)
RARE = {
    (by_role, is_active): _rare(by_role=by_role, is_active=is_active)
    for by_role in _FLAGS
    for is_active in _FLAGS
}
COMMON = {
    (by_role, is_active, after): _common(by_role=by_role, is_active=is_active, after=after)
    for by_role in _FLAGS
    for is_active in _FLAGS
    for after in _FLAGS
}

_summary = record_of(UserSummaryResult, *RARE.values(), *COMMON.values())


async def search_members(
    session: SqlSession,
    tenant_id: str,
    window: Window,
    *,
    term: str,
    role: Role | None,
    is_active: bool,
    max_candidates: int = MAX_CANDIDATES,
    max_examined: int = MAX_EXAMINED,
) -> tuple[Slice[UserSummaryResult], bool]:
    """A page of the members that match, and whether its total is only those found so far."""
    values = search_values(term)
    [[candidates]] = await fetch_all(session, CANDIDATES, **values)
    given: dict[str, Any] = {"tenant_id": tenant_id} | ({} if role is None else {"role": role})
    if candidates <= max_candidates:
        rare = RARE[role is not None, is_active]
        return await rare.fetch(session, window, _summary, **given, **values), False
    if window.after is not None:
        given |= {"after_at": window.after.at, "after_id": window.after.id}
    found = await fetch_all(
        session,
        COMMON[role is not None, is_active, window.after is not None],
        **given,
        term=term,
        max_examined=max_examined,
        row_limit=window.limit + 1,
        row_offset=window.offset,
    )
    rows = [row for row in found if row.user_id is not None]
    shown = rows[: window.limit]
    is_full, may_follow = len(rows) > window.limit, found[0].examined == max_examined
    last_key: SortKey | None = None
    if is_full:
        last_key = SortKey(shown[-1].joined_at, shown[-1].user_id)
    elif may_follow:
        last_key = SortKey(found[0].last_at, found[0].last_id)
    has_more = last_key is not None
    total = window.offset + len(rows)
    return Slice([_summary(row) for row in shown], total, last_key, has_more=has_more), has_more
