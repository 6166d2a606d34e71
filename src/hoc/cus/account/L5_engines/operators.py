"""What those who operate the product read across tenants: callers with the scope ``accounts:admin``.

They change accounts by the identity service, and tenants by `Projects`.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import MAX_LIMIT, CursorScope
from hoc.cus.account.L5_engines.search_terms import search_term
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice_filter, is_storable_id
from hoc.cus.account.L5_schemas.errors import AccountNotFoundError, InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.identity import AccountStatsResponse
from hoc.cus.account.L5_schemas.operators import (
    AccountStatistics,
    AccountWhole,
    DeadLettersResult,
    RegistrationsOfDay,
    TenantsResult,
    TenantSummary,
)
from hoc.cus.account.L5_schemas.port_types import DeadLetter, Page, Slice, UncountedSlice, Window
from hoc.cus.account.L5_schemas.values import AnyTenantStatus, TenantStatus

MAX_DAYS = 31
MIN_TERM_LENGTH = 3


class OperatorStore(Protocol):
    async def account(self, session: Session, user_id: str, now: datetime) -> AccountWhole | None:
        """The account with this id, or that the primary issuer's subject is linked to, in any state."""
        ...

    async def statistics(
        self, session: Session, now: datetime, since: datetime
    ) -> tuple[AccountStatsResponse, dict[date, int]]:
        """The numbers of accounts, and how many were created on each UTC day since then.

        A day without any may be missing.
        """
        ...

    async def tenants(
        self, session: Session, window: Window, *, status: TenantStatus | None, term: str | None
    ) -> UncountedSlice[TenantSummary]:
        """Newest first. ``term`` is folded, and is a part of the name or slug, or the whole id."""
        ...

    async def dead_letters(self, session: Session, window: Window) -> Slice[DeadLetter]:
        """Oldest first."""
        ...

    async def request_retry(self, session: Session, ids: list[str] | None) -> list[str]:
        """Have the relays try these dead letters again, or all. Returns the ids that exist."""
        ...


class Operators:
    def __init__(self, store: OperatorStore, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def get_account(self, session: Session, user_id: str) -> AccountWhole:
        """An account in any state, with all that belongs to it. Raises AccountNotFoundError."""
        found = None
        if is_storable_id(user_id):
            found = await self._store.account(session, user_id, self._clock())
        if found is None:
            raise AccountNotFoundError("There is no such account.")
        return found

    async def get_statistics(self, session: Session, *, days: int = 30) -> AccountStatistics:
        """The identity service's numbers of accounts, and the registrations of the last 1 to 31 UTC days.

        Raises InvalidInputError.
        """
        if wrong := why_not_whole(days, 1, MAX_DAYS):
            raise InvalidInputError.of_parameter("days", wrong)
        now = self._clock()
        first = now.astimezone(UTC).date() - timedelta(days=days - 1)
        stats, found = await self._store.statistics(session, now, datetime.combine(first, time(), UTC))
        listed = [first + timedelta(days=number) for number in range(days)]
        return AccountStatistics(stats, [RegistrationsOfDay(day, found.get(day, 0)) for day in listed])

    async def list_tenants(
        self,
        session: Session,
        *,
        status: AnyTenantStatus | None = None,
        search: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[TenantsResult]:
        """Tenants, newest first. ``search`` is three or more characters of the name or slug, or the id.

        Raises InvalidInputError.
        """
        wanted, term = choice_filter("status", status, TenantStatus), _term(search)
        scope = CursorScope("all tenants", "", status=wanted, search=term)
        window = scope.window(limit, cursor=cursor)
        rows = await self._store.tenants(session, window, status=wanted, term=term)
        return Page(TenantsResult(rows.rows), scope.next_cursor(rows))

    async def list_dead_letters(
        self, session: Session, *, limit: int = 50, cursor: str | None = None
    ) -> Page[DeadLettersResult]:
        """Events that NATS refused, and messages that no handler could handle, oldest first.

        Raises InvalidInputError.
        """
        scope = CursorScope("dead letters", "")
        rows = await self._store.dead_letters(session, scope.window(limit, cursor=cursor))
        return Page(DeadLettersResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def retry_dead_letters(self, session: Session, ids: list[str] | None = None) -> int:
        """Have a running relay try these dead letters again, or all. Returns how many they are.

        Raises InvalidInputError, or NotFoundError (one of the ids is no dead letter's).
        """
        if ids is not None and len(ids) > MAX_LIMIT:
            raise InvalidInputError.of("ids", f"must be at most {MAX_LIMIT}")
        found = await self._store.request_retry(session, ids)
        if ids is not None and set(ids) - set(found):
            raise NotFoundError("There is no such dead letter. It may have been published meanwhile.")
        return len(found)


def _term(search: str | None) -> str | None:
    term = search_term("search", search)
    if term is not None and len(term) < MIN_TERM_LENGTH:
        raise InvalidInputError.of_parameter("search", f"must be at least {MIN_TERM_LENGTH} characters")
    return term
