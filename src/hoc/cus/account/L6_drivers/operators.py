"""What those who operate the product read: one account whole, registrations by day, tenants, dead letters.

These lists cross tenants.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, String, Text, cast, func, or_, select
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.identity import AccountStatsResponse, EmailChangeResponse
from hoc.cus.account.L5_schemas.operators import AccountRecord, AccountWhole, TenantSummary
from hoc.cus.account.L5_schemas.port_types import DeadLetter, Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.results import MembershipResult
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.account_lists import STATS, stats_of, stats_values
from hoc.cus.account.L6_drivers.dead_letters import SqlDeadLetters
from hoc.cus.account.L6_drivers.email_changes import IS_PENDING
from hoc.cus.account.L6_drivers.email_changes import RESULT as EMAIL_CHANGE
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, USER, pattern_of
from hoc.cus.account.L6_drivers.identities import SqlIdentities
from hoc.cus.account.L6_drivers.member_columns import MEMBERSHIP
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import (
    SEARCHED_TENANT,
    account_registrations,
    email_changes,
    memberships,
    tenants,
    users,
)

SHOWN_MEMBERSHIPS = 100

_ACCOUNT = (
    users.c.user_id,
    users.c.email,
    users.c.email_verified,
    users.c.name,
    users.c.timezone,
    users.c.locale,
    users.c.oauth_provider,
    users.c.is_active,
    users.c.is_claimed,
    users.c.created_at,
    users.c.updated_at,
    users.c.last_login_at,
    users.c.deleted_at,
    users.c.erased_at,
)
FIND_ACCOUNT = (
    select(*_ACCOUNT, *(column.label(f"change_{column.name}") for column in EMAIL_CHANGE))
    .outerjoin_from(users, email_changes, (email_changes.c.user_id == users.c.user_id) & IS_PENDING)
    .where(users.c.user_id == ACCOUNT)
)

# Those of an inactive account, too: an operator sees what comes back with it.
MEMBERSHIPS_OF_ACCOUNT = (
    select(
        *MEMBERSHIP,
        select(func.count())
        .select_from(memberships)
        .where(memberships.c.user_id == USER)
        .scalar_subquery()
        .label("total"),
    )
    .select_from(memberships.join(tenants))
    .where(memberships.c.user_id == USER)
    .order_by(memberships.c.joined_at, memberships.c.tenant_id)
    .limit(SHOWN_MEMBERSHIPS)
)

_DAY = cast(func.timezone("UTC", account_registrations.c.hour), Date)
_BY_DAY = (
    select(_DAY.label("day"), func.sum(account_registrations.c.accounts).label("accounts"))
    .where(account_registrations.c.hour >= param("since", DateTime(timezone=True)))
    .group_by(_DAY)
    .subquery("by_day")
)
STATISTICS = STATS.add_columns(
    select(func.jsonb_object_agg(_BY_DAY.c.day, _BY_DAY.c.accounts)).scalar_subquery().label("days")
)

_TENANT = (
    tenants.c.tenant_id,
    tenants.c.name,
    tenants.c.slug,
    tenants.c.status,
    tenants.c.plan,
    tenants.c.created_at,
)
_STATUS = param("status", String)


def _newest_first(rows: Any, *, by_key: bool) -> AnySelect:  # noqa: ANN401 - a table, or a CTE
    position = (rows.c.created_at, rows.c.tenant_id)
    after = func.row(param("after_at", DateTime(timezone=True)), param("after_id", String))
    conditions = [func.row(*position) < after] if by_key else []
    return (
        select(*(rows.c[column.name] for column in _TENANT))
        .where(*conditions)
        .order_by(*(column.desc() for column in position))
        .limit(param("row_limit", BigInteger))
    )


def _list_tenants(*, by_status: bool, by_key: bool) -> AnySelect:
    listed = _newest_first(tenants, by_key=by_key)
    return listed.where(tenants.c.status == _STATUS) if by_status else listed


def _search_tenants(*, by_status: bool, by_key: bool) -> AnySelect:
    """Finds every match by its trigrams, and orders them after that."""
    conditions: list[ColumnElement[bool]] = [
        or_(
            SEARCHED_TENANT.like(func.lower(param("pattern", Text))),
            tenants.c.tenant_id == param("term", String),
        )
    ]
    if by_status:
        conditions.append(tenants.c.status == _STATUS)
    # Not inlined: in the order of the list, PostgreSQL might read every tenant until enough match.
    found = select(*_TENANT).where(*conditions).cte("found").prefix_with("MATERIALIZED")
    return _newest_first(found, by_key=by_key)


_KINDS = [(by_status, by_key) for by_status in (False, True) for by_key in (False, True)]
TENANTS = {kind: _list_tenants(by_status=kind[0], by_key=kind[1]) for kind in _KINDS}
FOUND_TENANTS = {kind: _search_tenants(by_status=kind[0], by_key=kind[1]) for kind in _KINDS}

_account = record_of(AccountRecord, FIND_ACCOUNT)
_membership = record_of(MembershipResult, MEMBERSHIPS_OF_ACCOUNT)
_tenant = record_of(TenantSummary, *TENANTS.values(), *FOUND_TENANTS.values())


def _email_change(row: AnyRow) -> EmailChangeResponse | None:
    if row.change_user_id is None:
        return None
    return EmailChangeResponse(
        user_id=row.change_user_id,
        email=row.change_email,
        requested_at=row.change_requested_at,
        expires_at=row.change_expires_at,
    )


class SqlOperators:
    def __init__(self) -> None:
        self._identities = SqlIdentities()
        self._dead_letters = SqlDeadLetters()

    async def account(self, session: SqlSession, user_id: str, now: datetime) -> AccountWhole | None:
        row = await fetch_one(session, FIND_ACCOUNT, user_id=user_id, now=now)
        if row is None:
            return None
        account = _account(row)
        member_of = await fetch_all(session, MEMBERSHIPS_OF_ACCOUNT, user_id=account.user_id)
        return AccountWhole(
            account=account,
            email_change=_email_change(row),
            identities=await self._identities.of_account(session, account.user_id),
            memberships=[_membership(each) for each in member_of],
            memberships_total=member_of[0].total if member_of else 0,
        )

    async def statistics(
        self, session: SqlSession, now: datetime, since: datetime
    ) -> tuple[AccountStatsResponse, dict[date, int]]:
        [row] = await fetch_all(session, STATISTICS, since=since, **stats_values(now))
        days: dict[str, int] = row.days or {}
        return stats_of(row), {date.fromisoformat(day): accounts for day, accounts in days.items()}

    async def tenants(
        self, session: SqlSession, window: Window, *, status: TenantStatus | None, term: str | None
    ) -> UncountedSlice[TenantSummary]:
        values: dict[str, Any] = {"row_limit": window.limit + 1}
        if status is not None:
            values["status"] = status
        if window.after is not None:
            values |= {"after_at": window.after.at, "after_id": window.after.id}
        if term is not None:
            values |= {"pattern": pattern_of(term), "term": term}
        statements = TENANTS if term is None else FOUND_TENANTS
        found = await fetch_all(session, statements[status is not None, window.after is not None], **values)
        shown = found[: window.limit]
        return UncountedSlice(
            rows=[_tenant(row) for row in shown],
            last_key=SortKey(shown[-1].created_at, shown[-1].tenant_id) if shown else None,
            has_more=len(found) > window.limit,
        )

    async def dead_letters(self, session: SqlSession, window: Window) -> Slice[DeadLetter]:
        return await self._dead_letters.page(session, window)

    async def request_retry(self, session: SqlSession, ids: list[str] | None) -> list[str]:
        return await self._dead_letters.request_retry(session, ids)
