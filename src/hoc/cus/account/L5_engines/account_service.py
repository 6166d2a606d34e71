"""The identity service: the account record that every other service hangs on.

Each method is one transaction of the repository's own, and safe to repeat.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from hoc.cus.account.L5_engines.email_address import fold, parse_email
from hoc.cus.account.L5_engines.paging import MAX_LIMIT, MAX_OFFSET, CursorScope, bad_parameter
from hoc.cus.account.L5_engines.profiles import MAX_PREFERENCES_BYTES, checked_preferences
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_engines.text import clean_line, is_account_id, is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountValidationError,
    InvalidInputError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountChange,
    AccountChanged,
    AccountEnsureRequest,
    AccountFilter,
    AccountListParams,
    AccountPreferencesRequest,
    AccountProfileResponse,
    AccountSearchParams,
    AccountSearchResponse,
    AccountStatsResponse,
    AccountStatusChangeRequest,
    AccountSummaryResponse,
    AccountUpdateRequest,
)
from hoc.cus.account.L5_schemas.records import EmailAddress, Slice, Window

if TYPE_CHECKING:
    from hoc.database import Database

MAX_TERM_LENGTH = 255
MAX_COUNTED = 10_000


class AccountRepositoryProtocol(Protocol):
    """Account records. What changes one records its event with it; ``actor`` is whom the event names."""

    async def get_account_by_id(self, user_id: str) -> AccountProfileResponse | None:
        """An active account."""
        ...

    async def get_account_by_email(self, email_key: str) -> AccountProfileResponse | None:
        """The active account with this normalised address."""
        ...

    async def ensure_account_exists(
        self,
        user_id: str,
        address: EmailAddress,
        name: str,
        *,
        name_key: str,
        now: datetime,
        actor: str | None,
    ) -> tuple[AccountProfileResponse, bool] | None:
        """The account as stored, active or not, and whether this call made it; None: the address is taken."""
        ...

    async def update_account_profile(
        self, user_id: str, change: AccountChange, now: datetime, *, actor: str | None
    ) -> AccountChanged | None:
        """None: no such active account. Raises AccountValidationError when the address is taken."""
        ...

    async def update_account_preferences(
        self,
        user_id: str,
        preferences: dict[str, Any],
        *,
        max_bytes: int,
        now: datetime,
        actor: str | None,
    ) -> bool | None:
        """Merge (RFC 7396) where they are stored. False: no such active account; None: too large then."""
        ...

    async def set_account_status(
        self,
        user_id: str,
        *,
        is_active: bool,
        is_deleted: bool = False,
        now: datetime,
        reason: str | None,
        actor: str | None,
    ) -> bool:
        """The account and its memberships together; False: no such account.

        Raises AccountValidationError when the address is another's by now, LastOwnerError when a tenant would
        be left without an active owner. Either way nothing has changed.
        """
        ...

    async def list_accounts(
        self, wanted: AccountFilter, window: Window, *, max_counted: int
    ) -> tuple[Slice[AccountSummaryResponse], bool]:
        """Newest first, and whether counting a term's matches stopped at ``max_counted`` before the end."""
        ...

    async def get_account_stats(self, now: datetime) -> AccountStatsResponse: ...

    async def check_connection(self) -> bool: ...


class AccountService:
    """The identity operations; ``max_counted`` is where counting the matches of a search term stops.

    ``actor`` is who asks for a change, for its event and the audit trail; None: nobody in particular.
    """

    def __init__(
        self,
        repository: AccountRepositoryProtocol,
        *,
        clock: Clock = utc_now,
        max_counted: int = MAX_COUNTED,
    ) -> None:
        self.repository = repository
        self._clock = clock
        self._max_counted = max_counted

    async def ensure_account(
        self, request: AccountEnsureRequest, *, actor: str | None = None
    ) -> tuple[AccountProfileResponse, bool]:
        """Create the account unless it is there; the account as stored, and whether it was created.

        However many callers race with one ``user_id``, one creates and all get the same account. An account
        that is there is returned unchanged, a deactivated one too.

        Raises:
            AccountValidationError: bad input, or the address is another active account's.
        """
        with _validation():
            if not is_account_id(request.user_id):
                raise InvalidInputError.of("user_id", "must be 1 to 255 visible characters without /")
            address = parse_email(request.email)
            name = clean_line("name", request.name)
        ensured = await self.repository.ensure_account_exists(
            request.user_id, address, name, name_key=fold(name), now=self._clock(), actor=actor
        )
        if ensured is None:
            raise AccountValidationError.of("email", "is another active account's already")
        return ensured

    async def get_account_profile(self, user_id: str) -> AccountProfileResponse:
        """An active account. Raises AccountNotFoundError."""
        account = await self.repository.get_account_by_id(user_id) if is_storable_id(user_id) else None
        if account is None:
            raise _not_found()
        return account

    async def update_account_profile(
        self, user_id: str, request: AccountUpdateRequest, *, actor: str | None = None
    ) -> AccountProfileResponse:
        """Change name and address, whichever is given; a new address has yet to be verified."""
        with _validation():
            name = None if request.name is None else clean_line("name", request.name)
            change = AccountChange(
                name=name,
                name_key=None if name is None else fold(name),
                address=None if request.email is None else parse_email(request.email),
            )
        changed = await self.repository.update_account_profile(
            _known(user_id), change, self._clock(), actor=actor
        )
        if changed is None:
            raise _not_found()
        return changed.account

    async def update_account_preferences(
        self, user_id: str, request: AccountPreferencesRequest, *, actor: str | None = None
    ) -> bool:
        """Merge the preferences into what is stored (RFC 7396), 16 KiB and eight levels at most."""
        with _validation():
            patch = checked_preferences(request.preferences)
        merged = await self.repository.update_account_preferences(
            _known(user_id), patch, max_bytes=MAX_PREFERENCES_BYTES, now=self._clock(), actor=actor
        )
        if merged is None:
            raise AccountValidationError.of(
                "preferences", f"would exceed {MAX_PREFERENCES_BYTES} bytes after merging; delete keys first"
            )
        if not merged:
            raise _not_found()
        return True

    async def change_account_status(
        self, user_id: str, request: AccountStatusChangeRequest, *, actor: str | None = None
    ) -> bool:
        """Activate or deactivate; its memberships count, or not, from the same moment on.

        The reason, if any, goes into the event and is kept nowhere else.

        Raises:
            AccountNotFoundError, AccountValidationError: the address is another's by now.
            LastOwnerError: a tenant would be left without an active owner; hand it over first.
        """
        with _validation():
            reason = _checked_reason(request.reason)
        changed = await self.repository.set_account_status(
            _known(user_id), is_active=request.is_active, now=self._clock(), reason=reason, actor=actor
        )
        if not changed:
            raise _not_found()
        return True

    async def delete_account(
        self, user_id: str, reason: str | None = None, *, actor: str | None = None
    ) -> bool:
        """Deactivate for good, keeping the record; deleting again changes nothing. Errors as for a status."""
        with _validation():
            given = _checked_reason(reason)
        deleted = await self.repository.set_account_status(
            _known(user_id), is_active=False, is_deleted=True, now=self._clock(), reason=given, actor=actor
        )
        if not deleted:
            raise _not_found()
        return True

    async def list_accounts(self, params: AccountListParams) -> AccountSearchResponse:
        """A page, newest first. ``total`` is exact, with a search term up to 10,000 (``total_capped``)."""
        with _validation():
            if params.page < 1:
                raise bad_parameter("page", "must be 1 or more")
            if not 1 <= params.page_size <= MAX_LIMIT:
                raise bad_parameter("page_size", f"must be 1 to {MAX_LIMIT}")
            offset = (params.page - 1) * params.page_size
            if offset > MAX_OFFSET:
                raise bad_parameter("page", f"reaches beyond {MAX_OFFSET} accounts; walk further with cursor")
            wanted = AccountFilter(params.is_active, _term("search", params.search))
            scope = CursorScope("accounts", str(wanted.is_active), search=wanted.term)
            window = scope.window(params.page_size, 0 if params.cursor else offset, params.cursor)
        rows, capped = await self.repository.list_accounts(wanted, window, max_counted=self._max_counted)
        return AccountSearchResponse(
            accounts=rows.rows,
            total=rows.total,
            page=params.page,
            page_size=params.page_size,
            pages=-(-rows.total // params.page_size),
            total_capped=capped,
            next_cursor=scope.next_cursor(rows),
        )

    async def search_accounts(self, params: AccountSearchParams) -> list[AccountSummaryResponse]:
        """Accounts whose name or address contains the term, in any case, newest first."""
        with _validation():
            if not 1 <= params.limit <= MAX_LIMIT:
                raise bad_parameter("limit", f"must be 1 to {MAX_LIMIT}")
            term = _term("query", params.query)
            if term is None:
                raise bad_parameter("query", "must not be empty")
        wanted = AccountFilter(None if params.include_inactive else True, term)
        rows, _ = await self.repository.list_accounts(
            wanted, Window(params.limit), max_counted=self._max_counted
        )
        return rows.rows

    async def get_account_by_email(self, email: str) -> AccountProfileResponse | None:
        """The active account with this address, in whatever case it is written."""
        with _validation():
            address = parse_email(email)
        return await self.repository.get_account_by_email(address.key)

    async def get_service_stats(self) -> AccountStatsResponse:
        """Exact as of now."""
        return await self.repository.get_account_stats(self._clock())

    async def health_check(self) -> dict[str, Any]:
        """``status``, ``database_connected`` and ``timestamp`` (ISO 8601)."""
        connected = await self.repository.check_connection()
        return {
            "status": "healthy" if connected else "unhealthy",
            "database_connected": connected,
            "timestamp": self._clock().isoformat(),
        }


def create_account_service(database: "Database", *, clock: Clock = utc_now) -> AccountService:
    """The service on PostgreSQL."""
    # Loaded here, so that the service can be used and tested without a database driver.
    from hoc.cus.account.L6_drivers.accounts import AccountRepository  # noqa: PLC0415 - see above

    return AccountService(AccountRepository(database), clock=clock)


@contextmanager
def _validation() -> Generator[None, None, None]:
    """Let bad input out under the service's own name for it."""
    try:
        yield
    except InvalidInputError as refusal:
        raise AccountValidationError(refusal.message, problems=refusal.problems) from None


def _known(user_id: str) -> str:
    if not is_storable_id(user_id):
        raise _not_found()
    return user_id


def _term(name: str, term: str | None) -> str | None:
    if term is None or not term.strip():
        return None
    if len(term) > MAX_TERM_LENGTH or not is_storable_id(term):
        raise bad_parameter(name, f"must be at most {MAX_TERM_LENGTH} characters without control characters")
    return fold(term.strip())


def _checked_reason(reason: str | None) -> str | None:
    return None if reason is None else clean_line("reason", reason, max_length=500)


def _not_found() -> AccountNotFoundError:
    return AccountNotFoundError("There is no such account.")
