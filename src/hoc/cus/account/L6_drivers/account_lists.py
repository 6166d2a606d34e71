"""The statements that list, search and count accounts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    String,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.identity import AccountFilter, AccountStatsResponse, AccountSummaryResponse
from hoc.cus.account.L5_schemas.port_types import Slice, Window
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import pattern_of
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import SEARCHED, account_registrations, account_totals, users

SUMMARY = (users.c.user_id, users.c.email, users.c.name, users.c.is_active, users.c.created_at)

# Written into each statement, not bound: the planner must know whether a term is rare or common.
PATTERN = param("pattern", Text, literal_execute=True)
MAX_COUNTED = param("max_counted", Integer, literal_execute=True)
TERM = param("term", Text, literal_execute=True)
MATCHES = and_(
    SEARCHED.like(PATTERN),
    or_(*(func.strpos(text, TERM) > 0 for text in (users.c.email_key, users.c.name_key, users.c.email))),
)

_PROBED = 9
_FEW = 1_000
_NEWEST = 5_000

TOTALS = {
    None: func.coalesce(func.sum(account_totals.c.accounts), 0),
    True: func.coalesce(func.sum(account_totals.c.active), 0),
    False: func.coalesce(func.sum(account_totals.c.accounts - account_totals.c.active), 0),
}


def _kind(is_active: bool | None) -> list[ColumnElement[bool]]:
    return [] if is_active is None else [users.c.is_active == literal_column(str(is_active))]


def _list(is_active: bool | None) -> Paged:
    """All accounts of a kind, newest first. The total is read from `account_totals`."""
    return Paged(
        select(*SUMMARY).where(*_kind(is_active)),
        at=users.c.created_at,
        row_id=users.c.user_id,
        total=cast(select(TOTALS[is_active]).scalar_subquery(), BigInteger),
        newest_first=True,
    )


def _with_address(is_active: bool | None) -> Paged:
    """The account whose whole address the term is."""
    has_address = users.c.email_key == param("term", String)
    return _found(select(*SUMMARY).where(has_address, users.c.deleted_at.is_(None), *_kind(is_active)))


def _search_rare(is_active: bool | None) -> Paged:
    """Finds every match by trigrams and orders them: for a term with at most ``max_counted`` matches."""
    one_more = MAX_COUNTED + literal_column("1")
    return _found(select(*SUMMARY).where(MATCHES, *_kind(is_active)).limit(one_more))


def _found(rows: AnySelect) -> Paged:
    """All these accounts are found first, then counted and ordered."""
    found = rows.cte("found")
    return Paged(
        select(*found.c),
        at=found.c.created_at,
        row_id=found.c.user_id,
        total=select(func.count()).select_from(found).scalar_subquery(),
        newest_first=True,
    )


def _search_newest(is_active: bool | None) -> Paged:
    """Reads the newest accounts until enough of them match: for a term that many of them have."""
    newest = (
        select(*SUMMARY, MATCHES.label("matches"))
        .where(*_kind(is_active))
        .order_by(users.c.created_at.desc(), users.c.user_id.desc())
        .limit(literal_column(str(_NEWEST)))
        .subquery("newest")
    )
    return Paged(
        select(*(newest.c[column.name] for column in SUMMARY)).where(newest.c.matches),
        at=newest.c.created_at,
        row_id=newest.c.user_id,
        total=cast(MAX_COUNTED, BigInteger),
        newest_first=True,
    )


def _search_common(is_active: bool | None) -> Paged:
    """Reads accounts from the newest on until enough match: for a term with more than ``max_counted``."""
    return Paged(
        select(*SUMMARY).where(MATCHES, *_kind(is_active)),
        at=users.c.created_at,
        row_id=users.c.user_id,
        total=cast(MAX_COUNTED, BigInteger),
        newest_first=True,
    )


KINDS: tuple[bool | None, ...] = (None, True, False)
LISTS = {kind: _list(kind) for kind in KINDS}
WITH_ADDRESS = {kind: _with_address(kind) for kind in KINDS}
RARE = {kind: _search_rare(kind) for kind in KINDS}
AMONG_NEWEST = {kind: _search_newest(kind) for kind in KINDS}
COMMON = {kind: _search_common(kind) for kind in KINDS}


def _stats() -> AnySelect:
    """Counts the accounts created since two moments, whole hours by their counts and the rest by rows."""
    accounts, hour = account_registrations.c.accounts, account_registrations.c.hour
    hours = (
        select(
            func.coalesce(func.sum(accounts).filter(hour >= _moment("next_hour_7d")), 0).label("last_7d"),
            func.coalesce(func.sum(accounts), 0).label("last_30d"),
        )
        .where(hour >= _moment("next_hour_30d"))
        .cte("hours")
    )
    return select(
        cast(select(TOTALS[None]).scalar_subquery(), BigInteger).label("total"),
        cast(select(TOTALS[True]).scalar_subquery(), BigInteger).label("active"),
        cast(hours.c.last_7d + _between("last_7d", "next_hour_7d"), BigInteger).label("last_7d"),
        cast(hours.c.last_30d + _between("last_30d", "next_hour_30d"), BigInteger).label("last_30d"),
    )


def _between(since: str, until: str) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(users)
        .where(users.c.created_at >= _moment(since), users.c.created_at < _moment(until))
        .scalar_subquery()
    )


def _moment(name: str) -> ColumnElement[datetime]:
    return param(name, DateTime(timezone=True))


STATS = _stats()


_summary = record_of(
    AccountSummaryResponse,
    *(paged for lists in (LISTS, WITH_ADDRESS, RARE, AMONG_NEWEST, COMMON) for paged in lists.values()),
)


async def list_accounts(
    session: SqlSession, wanted: AccountFilter, window: Window, *, max_counted: int
) -> tuple[Slice[AccountSummaryResponse], bool]:
    if wanted.term is None:
        return await LISTS[wanted.is_active].fetch(session, window, _summary), False
    return await _search(session, wanted.term, wanted.is_active, window, max_counted)


async def _search(
    session: SqlSession, term: str, is_active: bool | None, window: Window, max_counted: int
) -> tuple[Slice[AccountSummaryResponse], bool]:
    """An account's whole address finds that account alone.

    The matches of a term that fills the page from the newest accounts are counted up to `_FEW` only.
    """
    if _may_be_address(term):
        found = await WITH_ADDRESS[is_active].fetch(session, window, _summary, term=term)
        if found.total:
            return found, False
    values = search_values(term)

    async def page(lists: Mapping[bool | None, Paged], counted: int) -> Slice[AccountSummaryResponse]:
        return await lists[is_active].fetch(session, window, _summary, **values, max_counted=counted)

    few = min(_FEW, max_counted)
    found = await page(RARE, few)
    if found.total <= few:
        return found, False
    found = await page(AMONG_NEWEST, few)
    if found.has_more:
        return found, True
    found = await page(RARE, max_counted)
    if found.total <= max_counted:
        return found, False
    return await page(COMMON, max_counted), True


def _may_be_address(term: str) -> bool:
    local, _, domain = term.partition("@")
    return bool(local and domain)


async def read_stats(session: SqlSession, now: datetime) -> AccountStatsResponse:
    [row] = await fetch_all(session, STATS, **stats_values(now))
    return stats_of(row)


def stats_values(now: datetime) -> dict[str, datetime]:
    """The parameters of `STATS`."""
    last_7d, last_30d = now - timedelta(days=7), now - timedelta(days=30)
    # PostgreSQL would work the hours out anew for each row.
    return {
        "last_7d": last_7d,
        "last_30d": last_30d,
        "next_hour_7d": _next_hour(last_7d),
        "next_hour_30d": _next_hour(last_30d),
    }


def _next_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def stats_of(row: AnyRow) -> AccountStatsResponse:
    """What a row of `STATS` says."""
    return AccountStatsResponse(
        total_accounts=row.total,
        active_accounts=row.active,
        inactive_accounts=row.total - row.active,
        recent_registrations_7d=row.last_7d,
        recent_registrations_30d=row.last_30d,
    )


def search_values(term: str) -> dict[str, Any]:
    """The parameters that search for a term.

    For an address, the index is searched only for the end of its local part, such as ``a.smith@``: the
    trigrams of a mail provider are in millions of addresses, and PostgreSQL would read all of them.
    """
    at = term.find("@")
    probe = term[max(0, at + 1 - _PROBED) : at + 1] if at > 1 else term
    return {"term": term, "pattern": pattern_of(probe)}
