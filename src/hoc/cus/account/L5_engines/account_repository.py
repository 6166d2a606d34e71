"""The port of the identity service: the account records that it reads and changes."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, Self

from hoc.cus.account.L5_engines.hooks import Scope, records
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.identity import (
    AccountFilter,
    AccountProfileResponse,
    AccountStatsResponse,
    AccountSummaryResponse,
    EmailChangeResponse,
)
from hoc.cus.account.L5_schemas.port_types import (
    AccountPatch,
    AddressRefusal,
    EmailChangeRefusal,
    EmailChangeTerms,
    LinkOutcome,
    NewAccount,
    NewEmailChange,
    PatchRefusal,
    Slice,
    Subject,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import LinkedIdentitiesResult


class AccountRepositoryProtocol(Protocol):
    """Account records. Each change records its event; ``actor`` is the event's.

    A change with an ``expected_version`` raises StaleVersionError for an account of another version.
    """

    def within(self, scope: Scope) -> Self:
        """The same repository, each of whose changes is a transaction with all its work within ``scope``."""
        ...

    async def get_account_by_id(self, user_id: str) -> Versioned[AccountProfileResponse] | None:
        """The active account with this id."""
        ...

    async def get_account_by_email(self, email_key: str) -> Versioned[AccountProfileResponse] | None:
        """The active account whose address has this key."""
        ...

    @records("user.created", "user.identity_linked", "user.profile_updated", "user.email_lost")
    async def ensure_account_exists(
        self, account: NewAccount, now: datetime, *, actor: str | None
    ) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
        """The subject's account as stored, active or not, and whether this call created it.

        A subject without an account is linked to the account that has its verified address, if nobody has
        claimed that; of several such calls at a time, one links. A verified address is taken from an account
        that has not verified it.
        """
        ...

    @records("user.profile_updated", "user.email_lost")
    async def update_account_profile(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | None:
        """Apply the patch's name and address. None: there is no such active account.

        An address ends a pending change of it. A verified address is taken from an account that has not
        verified it. Raises AccountValidationError when the address is taken.
        """
        ...

    @records("user.profile_updated")
    async def update_account_preferences(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        max_bytes: int,
        actor: str | None,
        expected_version: int | None = None,
    ) -> PatchRefusal | bool:
        """Merge the patch's preferences in the database. False: there is no such active account."""
        ...

    @records("user.deleted", "user.status_changed")
    async def set_account_status(
        self,
        user_id: str,
        *,
        is_active: bool,
        is_deleted: bool = False,
        now: datetime,
        reason: str | None,
        actor: str | None,
        expected_version: int | None = None,
    ) -> bool:
        """Change the account together with its memberships. False: there is no such account.

        Raises AccountValidationError when the address is another account's by now, LastOwnerError when
        a tenant would have no active owner. Neither changes anything.
        """
        ...

    @records("user.profile_updated")
    async def request_email_change(
        self,
        user_id: str,
        patch: AccountPatch,
        change: NewEmailChange,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | EmailChangeRefusal:
        """Store a change to confirm in place of an earlier one, queue its mail, and apply the patch.

        Another spelling of the account's own address is applied at once, with the patch.
        """
        ...

    async def pending_email_change(self, user_id: str, now: datetime) -> EmailChangeResponse | None: ...

    async def hand_out_email_change(
        self, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        """Give an active account's pending change this token, and do not mail it. None: there is none."""
        ...

    async def cancel_email_change(self, user_id: str, now: datetime) -> None: ...

    @records("user.profile_updated", "user.email_lost")
    async def confirm_email_change(
        self, user_id: str, decide: Callable[[EmailChangeTerms | None], EmailChangeTerms], now: datetime
    ) -> AccountProfileResponse | None:
        """Make the address that ``decide`` lets pass the account's, verified, and queue a notice to the old.

        The address is taken from an account that has not verified it. Raises AccountValidationError when
        another account has it. Once confirmed, nothing is changed again.
        """
        ...

    async def list_identities(self, user_id: str) -> LinkedIdentitiesResult | None:
        """The active account's linked identities, oldest first. None: there is no such active account."""
        ...

    @records("user.identity_linked")
    async def link_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        """Link a subject to an active account, unless it has an account."""
        ...

    @records("user.identity_unlinked")
    async def unlink_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        """End a link, unless nobody could sign in to the account any more."""
        ...

    @records("user.signed_in")
    async def record_sign_in(
        self, user_id: str, now: datetime, *, provider: str | None, actor: str | None
    ) -> bool:
        """Store the time and provider, at most once a minute. False: there is no such active account."""
        ...

    async def list_accounts(
        self, wanted: AccountFilter, window: Window, *, max_counted: int, session: Session = None
    ) -> tuple[Slice[AccountSummaryResponse], bool]:
        """Newest first, and whether a term has more matches than are counted, ``max_counted`` at most.

        Without a ``session``, this reads in one of its own; so does `get_account_stats`.
        """
        ...

    async def get_account_stats(self, now: datetime, *, session: Session = None) -> AccountStatsResponse: ...

    async def check_connection(self) -> bool: ...
