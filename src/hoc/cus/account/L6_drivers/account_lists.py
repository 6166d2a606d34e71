"""The statements that list, search and count accounts."""

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.identity import AccountSummaryResponse
from hoc.cus.account.L6_drivers.statements import AnyRow, Paged, param
from hoc.cus.account.L6_drivers.tables import account_registrations, account_totals, users

SUMMARY = (users.c.user_id, users.c.email, users.c.name, users.c.is_active, users.c.created_at)

# Written into each statement, so that the planner knows the term and can tell a rare one from a common one.
PATTERN = param("pattern", Text, literal_execute=True)
MAX_COUNTED = param("max_counted", Integer, literal_execute=True)
MATCHES = or_(users.c.email_key.like(PATTERN), users.c.name_key.like(PATTERN))

TOTALS = {
    None: func.coalesce(func.sum(account_totals.c.accounts), 0),
    True: func.coalesce(func.sum(account_totals.c.active), 0),
    False: func.coalesce(func.sum(account_totals.c.accounts - account_totals.c.active), 0),
}


def _kind(is_active: bool | None) -> list[ColumnElement[bool]]:
    return [] if is_active is None else [users.c.is_active == literal_column(str(is_active))]


def _list(is_active: bool | None) -> Paged:
    """All accounts of a kind, newest first; the total is kept, not counted."""
    return Paged(
        select(*SUMMARY).where(*_kind(is_active)),
        at=users.c.created_at,
        row_id=users.c.user_id,
        total=cast(select(TOTALS[is_active]).scalar_subquery(), BigInteger),
        newest_first=True,
    )


def _search_rare(is_active: bool | None) -> Paged:
    """Every match, found by trigrams, then ordered: for terms with at most ``max_counted`` matches."""
    found = (
        select(*SUMMARY)
        .where(MATCHES, *_kind(is_active))
        .limit(MAX_COUNTED + literal_column("1"))
        .cte("found")
    )
    return Paged(
        select(*found.c),
        at=found.c.created_at,
        row_id=found.c.user_id,
        total=select(func.count()).select_from(found).scalar_subquery(),
        newest_first=True,
    )


def _search_common(is_active: bool | None) -> Paged:
    """Matches met on the way from the newest account back: soon enough for a term that many match."""
    return Paged(
        select(*SUMMARY).where(MATCHES, *_kind(is_active)),
        at=users.c.created_at,
        row_id=users.c.user_id,
        total=cast(MAX_COUNTED, BigInteger),
        newest_first=True,
    )


KINDS: tuple[bool | None, ...] = (None, True, False)
LISTS = {kind: _list(kind) for kind in KINDS}
RARE = {kind: _search_rare(kind) for kind in KINDS}
COMMON = {kind: _search_common(kind) for kind in KINDS}


def _since(name: str) -> ColumnElement[int]:
    """Accounts created since a moment: whole hours are kept, the hour it falls in is counted."""
    moment = param(name, DateTime(timezone=True))
    hour = func.date_trunc("hour", moment, "UTC")
    whole_hours = (
        select(func.coalesce(func.sum(account_registrations.c.accounts), 0))
        .where(account_registrations.c.hour > hour)
        .scalar_subquery()
    )
    part = (
        select(func.count())
        .select_from(users)
        .where(users.c.created_at >= moment, users.c.created_at < hour + timedelta(hours=1))
        .scalar_subquery()
    )
    return cast(whole_hours + part, BigInteger).label(name)


STATS = select(
    cast(TOTALS[None], BigInteger).label("total"),
    cast(TOTALS[True], BigInteger).label("active"),
    _since("last_7d"),
    _since("last_30d"),
)


def literal_term(term: str) -> str:
    r"""The term with LIKE's ``%``, ``_`` and ``\`` standing for themselves."""
    return term.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def summary(row: AnyRow) -> AccountSummaryResponse:
    return AccountSummaryResponse(
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        is_active=row.is_active,
        created_at=row.created_at,
    )
