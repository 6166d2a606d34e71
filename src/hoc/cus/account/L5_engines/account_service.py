"""The identity service: the account records that all other services refer to.

Each method is a transaction of its own and safe to repeat.
"""

from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from hoc.cus.account.L5_engines.account_lists import parsed_list, parsed_search
from hoc.cus.account.L5_engines.account_repository import AccountRepositoryProtocol
from hoc.cus.account.L5_engines.account_requests import (
    AccountRequests,
    checked_provider,
    checked_reason,
    name_patch,
    preferences_patch,
    validation,
)
from hoc.cus.account.L5_engines.email_changes import (
    account_of,
    new_change,
    new_email_token,
    require_confirmable,
)
from hoc.cus.account.L5_engines.hooks import Hooks
from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_engines.link_patterns import EMAIL_CHANGE_URL, filled
from hoc.cus.account.L5_engines.merge_patches import MAX_DOCUMENT_BYTES
from hoc.cus.account.L5_engines.profiles import refused
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountValidationError,
    ConflictError,
    FieldProblem,
    LimitExceededError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountListParams,
    AccountPreferencesRequest,
    AccountProfileResponse,
    AccountSearchParams,
    AccountSearchResponse,
    AccountStatsResponse,
    AccountStatusChangeRequest,
    AccountSummaryResponse,
    AccountUpdateRequest,
    EmailChangeLinkResponse,
    EmailChangeResponse,
    SignInRequest,
)
from hoc.cus.account.L5_schemas.port_types import (
    AddressRefusal,
    EmailChangeRefusal,
    InvitationLimits,
    LinkOutcome,
    PatchRefusal,
    Versioned,
)
from hoc.cus.account.L5_schemas.results import LinkedIdentitiesResult

__all__ = ["AccountRepositoryProtocol", "AccountService"]

MAILS_PER_RECIPIENT_PER_DAY = InvitationLimits().per_recipient_per_day
_RETRY_TOMORROW = 86_400
MAX_COUNTED = 10_000


class AccountService:
    """The identity operations.

    ``actor`` is the user who asks for a change; the event and the audit trail name it. None: nobody in
    particular. The matches of a search term are counted up to ``max_counted``. A ``user_id`` is an account's
    id, or a subject of the primary issuer that is linked to the account. One address gets at most
    ``mails_per_recipient_per_day`` mails in a UTC day, with those of invitations.
    ``special_use_domains`` permits addresses such as admin@corp.local. ``email_change_url`` is the pattern of
    the links that `email_change_link` issues.
    """

    def __init__(
        self,
        repository: AccountRepositoryProtocol,
        *,
        primary_issuer: str | None = None,
        clock: Clock = utc_now,
        max_counted: int = MAX_COUNTED,
        mails_per_recipient_per_day: int = MAILS_PER_RECIPIENT_PER_DAY,
        special_use_domains: bool = False,
        email_change_url: str = EMAIL_CHANGE_URL,
        hooks: Hooks | None = None,
    ) -> None:
        self.repository = repository if hooks is None else _with_hooks(repository, hooks)
        self._requests = AccountRequests(
            primary_issuer=primary_issuer, special_use_domains=special_use_domains
        )
        self._clock = clock
        self._max_counted = max_counted
        self._mails_per_recipient_per_day = mails_per_recipient_per_day
        self.email_change_url = email_change_url

    async def ensure_account(
        self, request: AccountEnsureRequest, *, actor: str | None = None
    ) -> tuple[AccountProfileResponse, bool]:
        """Create the account unless it exists. Returns it as stored, and whether this call created it.

        Of any number of concurrent calls with one ``user_id``, one creates the account and all return it. An
        existing account is returned unchanged, also a deactivated one. A subject whose person was erased gets
        a new account with another id. With a verified address, a subject
        without an account claims the account that an invitation made for this address, unless somebody has
        claimed it.

        Raises AccountValidationError, also for a taken address (code ``address_claimed``: by an account that
        has verified it and that somebody signs in to).
        """
        account = self._requests.new_account(request)
        ensured = await self.repository.ensure_account_exists(account, self._clock(), actor=actor)
        if ensured is AddressRefusal.ERASED_ID:
            account = replace(account, user_id=new_id("usr"))
            ensured = await self.repository.ensure_account_exists(account, self._clock(), actor=actor)
        if ensured is AddressRefusal.CLAIMED:
            raise AccountValidationError(
                "email: belongs to an account that somebody signs in to; link this identity to that account",
                code="address_claimed",
                problems=(FieldProblem("/email", "belongs to an account that somebody signs in to"),),
            )
        if isinstance(ensured, AddressRefusal):
            raise AccountValidationError.of("email", "is another account's already")
        return ensured

    async def get_account_profile(self, user_id: str) -> AccountProfileResponse:
        """Return an active account. Raises AccountNotFoundError."""
        return (await self.get_versioned_profile(user_id)).value

    async def get_versioned_profile(self, user_id: str) -> Versioned[AccountProfileResponse]:
        """Return an active account and its version. Raises AccountNotFoundError."""
        account = await self.repository.get_account_by_id(user_id) if is_storable_id(user_id) else None
        if account is None:
            raise _not_found()
        return account

    async def update_account_profile(
        self, user_id: str, request: AccountUpdateRequest, *, actor: str | None = None
    ) -> AccountProfileResponse:
        """Change the name, the address, or both. A new address is unverified, unless the request says so.

        An address ends a change of it that has yet to be confirmed.

        Raises AccountNotFoundError or AccountValidationError, also for a taken address.
        """
        return (await self.update_versioned_profile(user_id, request, actor=actor)).value

    async def update_versioned_profile(
        self,
        user_id: str,
        request: AccountUpdateRequest,
        *,
        is_own: bool = False,
        actor: str | None = None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse]:
        """`update_account_profile`, or with ``is_own`` `update_own_profile`, of a version.

        Raises StaleVersionError, too, if the account has another than the ``expected_version``.
        """
        if is_own and request.email is not None:
            return await self._request_email_change(
                user_id, request, request.email, actor=actor, expected_version=expected_version
            )
        patch = self._requests.patch(request)
        account = await self.repository.update_account_profile(
            _storable(user_id), patch, self._clock(), actor=actor, expected_version=expected_version
        )
        if account is None:
            raise _not_found()
        return account

    async def update_account_preferences(
        self,
        user_id: str,
        request: AccountPreferencesRequest,
        *,
        actor: str | None = None,
        expected_version: int | None = None,
    ) -> bool:
        """Merge into the stored preferences (RFC 7396), which hold at most 16 KiB and eight levels.

        Raises AccountNotFoundError, AccountValidationError or StaleVersionError.
        """
        patch = preferences_patch(request)
        merged = await self.repository.update_account_preferences(
            _storable(user_id),
            patch,
            self._clock(),
            max_bytes=MAX_DOCUMENT_BYTES,
            actor=actor,
            expected_version=expected_version,
        )
        if isinstance(merged, PatchRefusal):
            with validation():
                raise refused(merged)
        if not merged:
            raise _not_found()
        return True

    async def change_account_status(
        self,
        user_id: str,
        request: AccountStatusChangeRequest,
        *,
        actor: str | None = None,
        expected_version: int | None = None,
    ) -> bool:
        """Activate or deactivate an account together with its memberships.

        Only the event has the reason.

        Raises AccountNotFoundError, StaleVersionError, LastOwnerError, AccountValidationError, also for a
        taken address, or LimitExceededError: a tenant of the account has no seat for it any more.
        """
        reason = checked_reason(request.reason)
        changed = await self.repository.set_account_status(
            _storable(user_id),
            is_active=request.is_active,
            now=self._clock(),
            reason=reason,
            actor=actor,
            expected_version=expected_version,
        )
        if not changed:
            raise _not_found()
        return True

    async def delete_account(
        self,
        user_id: str,
        reason: str | None = None,
        *,
        actor: str | None = None,
        expected_version: int | None = None,
    ) -> bool:
        """Deactivate an account and mark it deleted; its record stays. Deleting it again changes nothing.

        Raises AccountNotFoundError, AccountValidationError, StaleVersionError or LastOwnerError.
        """
        given = checked_reason(reason)
        deleted = await self.repository.set_account_status(
            _storable(user_id),
            is_active=False,
            is_deleted=True,
            now=self._clock(),
            reason=given,
            actor=actor,
            expected_version=expected_version,
        )
        if not deleted:
            raise _not_found()
        return True

    async def update_own_profile(
        self, user_id: str, request: AccountUpdateRequest, *, actor: str | None = None
    ) -> AccountProfileResponse:
        """As `update_account_profile`, for the account's owner: another address has to be confirmed first.

        A link is mailed to it. Until `confirm_email_change`, the account keeps its address.

        Raises AccountNotFoundError, AccountValidationError or LimitExceededError.
        """
        return (await self.update_versioned_profile(user_id, request, is_own=True, actor=actor)).value

    async def _request_email_change(
        self,
        user_id: str,
        request: AccountUpdateRequest,
        email: str,
        *,
        actor: str | None,
        expected_version: int | None,
    ) -> Versioned[AccountProfileResponse]:
        patch = name_patch(request)
        change = new_change(
            self._requests.address(email),
            self._clock(),
            mails_per_recipient_per_day=self._mails_per_recipient_per_day,
        )
        outcome = await self.repository.request_email_change(
            _storable(user_id), patch, change, actor=actor, expected_version=expected_version
        )
        if outcome is EmailChangeRefusal.LIMIT:
            raise LimitExceededError(
                "Too many changes of an address were asked for today, of this account or to this address."
                " Try again tomorrow.",
                retry_after=_RETRY_TOMORROW,
            )
        if isinstance(outcome, EmailChangeRefusal):
            raise _not_found()
        return outcome

    async def pending_email_change(self, user_id: str) -> EmailChangeResponse:
        """The change of an account's address that has yet to be confirmed. Raises AccountNotFoundError."""
        pending = await self.repository.pending_email_change(_storable(user_id), self._clock())
        if pending is None:
            raise _nothing_pending()
        return pending

    async def email_change_link(self, user_id: str) -> EmailChangeLinkResponse:
        """Issue the link that confirms the pending change of an account's address, to pass on yourself.

        No mail is sent any more, and earlier links are void. Whoever has the link can confirm the address, so
        give it only to somebody who is known to own the mailbox. Raises AccountNotFoundError.
        """
        account = await self.get_account_profile(user_id)
        token = new_email_token(account.user_id)
        pending = await self.repository.hand_out_email_change(
            account.user_id, token_hash=token_hash(token), now=self._clock()
        )
        if pending is None:
            raise _nothing_pending()
        link = filled(self.email_change_url, token=token)
        return EmailChangeLinkResponse(account.user_id, pending.email, token, link, pending.expires_at)

    async def cancel_email_change(self, user_id: str) -> bool:
        """End the pending change of an account's address, if there is one. Its link is dead.

        Raises AccountNotFoundError.
        """
        account = await self.get_account_profile(user_id)
        await self.repository.cancel_email_change(account.user_id, self._clock())
        return True

    async def confirm_email_change(self, token: str) -> AccountProfileResponse:
        """Give an account the address that the token was mailed to, verified. Repeating it changes nothing.

        Raises NotFoundError (no such change, or a wrong or dead token; the message is the same),
        EmailChangeExpiredError or ConflictError (another account has the address meanwhile).
        """
        now = self._clock()
        user_id = account_of(token)
        try:
            account = await self.repository.confirm_email_change(
                user_id, lambda change: require_confirmable(change, token, now), now
            )
        except AccountValidationError:
            raise ConflictError("Another account has this address meanwhile.", code="address_taken") from None
        if account is None:
            raise _not_found()
        return account

    async def list_identities(self, user_id: str) -> LinkedIdentitiesResult:
        """The identities that are linked to an account, oldest first. Raises AccountNotFoundError."""
        found = await self.repository.list_identities(_storable(user_id))
        if found is None:
            raise _not_found()
        return found

    async def link_identity(
        self, user_id: str, subject: str, *, issuer: str | None = None, actor: str | None = None
    ) -> LinkedIdentitiesResult:
        """Let a subject of an issuer, by default the primary one, sign in to an account.

        Repeating it changes nothing. Raises AccountNotFoundError, AccountValidationError or ConflictError
        (the subject has an account).
        """
        linked = self._requests.subject(subject, issuer)
        outcome = await self.repository.link_identity(_storable(user_id), linked, self._clock(), actor=actor)
        if outcome is LinkOutcome.NO_ACCOUNT:
            raise _not_found()
        if outcome is LinkOutcome.TAKEN:
            raise ConflictError("This identity has an account already.", code="identity_taken")
        return await self.list_identities(user_id)

    async def unlink_identity(
        self, user_id: str, subject: str, *, issuer: str | None = None, actor: str | None = None
    ) -> LinkedIdentitiesResult:
        """End a link. Repeating it changes nothing.

        Raises AccountNotFoundError, AccountValidationError or ConflictError (nobody could sign in to the
        account without it).
        """
        linked = self._requests.subject(subject, issuer)
        outcome = await self.repository.unlink_identity(
            _storable(user_id), linked, self._clock(), actor=actor
        )
        if outcome is LinkOutcome.NO_ACCOUNT:
            raise _not_found()
        if outcome is LinkOutcome.LAST:
            raise ConflictError(
                "This is the account's last identity. Link another one first.", code="last_identity"
            )
        return await self.list_identities(user_id)

    async def record_sign_in(self, user_id: str, request: SignInRequest, *, actor: str | None = None) -> bool:
        """Store that somebody signed in to an account, and with what. At most one change a minute is stored.

        Raises AccountNotFoundError or AccountValidationError.
        """
        provider = checked_provider(request)
        recorded = await self.repository.record_sign_in(
            _storable(user_id), self._clock(), provider=provider, actor=actor
        )
        if not recorded:
            raise _not_found()
        return True

    async def list_accounts(
        self, params: AccountListParams, *, session: Session = None
    ) -> AccountSearchResponse:
        """A page of accounts, newest first. Raises AccountValidationError.

        ``total`` is exact; with a search term it stops at 10,000, or at 1,000 where the newest accounts fill
        the page (``total_capped``). Without a ``session``, this reads in one of its own.
        """
        wanted, scope, window = parsed_list(params)
        rows, capped = await self.repository.list_accounts(
            wanted, window, max_counted=self._max_counted, session=session
        )
        return AccountSearchResponse(
            accounts=rows.rows,
            total=rows.total,
            page=params.page,
            page_size=params.page_size,
            pages=-(-rows.total // params.page_size),
            total_capped=capped,
            next_cursor=scope.next_cursor(rows),
        )

    async def search_accounts(
        self, params: AccountSearchParams, *, session: Session = None
    ) -> list[AccountSummaryResponse]:
        """Accounts whose name or address contains the term in any case, newest first.

        An account's whole address finds that account alone.

        Raises AccountValidationError.
        """
        wanted, window = parsed_search(params)
        rows, _ = await self.repository.list_accounts(
            wanted, window, max_counted=self._max_counted, session=session
        )
        return rows.rows

    async def get_account_by_email(self, email: str) -> AccountProfileResponse | None:
        """The active account with this address, in any case. Raises AccountValidationError."""
        account = await self.get_versioned_profile_by_email(email)
        return None if account is None else account.value

    async def get_versioned_profile_by_email(self, email: str) -> Versioned[AccountProfileResponse] | None:
        """`get_account_by_email`, and the account's version."""
        return await self.repository.get_account_by_email(self._requests.address(email).key)

    async def get_service_stats(self, *, session: Session = None) -> AccountStatsResponse:
        """The numbers of accounts, exact as of now."""
        return await self.repository.get_account_stats(self._clock(), session=session)

    async def health_check(self) -> dict[str, Any]:
        """A dict of ``status``, ``database_connected`` and ``timestamp`` (ISO 8601)."""
        connected = await self.repository.check_connection()
        return {
            "status": "healthy" if connected else "unhealthy",
            "database_connected": connected,
            "timestamp": self._clock().isoformat(),
        }


def _with_hooks(repository: AccountRepositoryProtocol, hooks: Hooks) -> AccountRepositoryProtocol:
    hooked = copy(repository)
    for name, types in hooks.wanted(AccountRepositoryProtocol):
        setattr(hooked, name, getattr(repository.within(partial(hooks.within, types=types)), name))
    return hooked


def _nothing_pending() -> AccountNotFoundError:
    return AccountNotFoundError("No change of this account's address is pending.")


def _storable(user_id: str) -> str:
    if not is_storable_id(user_id):
        raise _not_found()
    return user_id


def _not_found() -> AccountNotFoundError:
    return AccountNotFoundError("There is no such account.")
