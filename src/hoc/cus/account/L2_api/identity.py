"""The identity service's operations, mounted at ``/api/v1``. The caller's scopes decide what they may do.

A caller without scopes reads and changes their own profile and preferences, and nothing else.
"""

from typing import Any

from hoc.cus.account.L2_api.bodies import AccountsQuery, DeletionQuery, IdentityQuery, SearchQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import NOTHING, REPLICA, AnyOperation, Ensured, Operation
from hoc.cus.account.L2_api.scopes import ADMINS, READERS, WRITERS
from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountValidationError,
    FieldProblem,
    ForbiddenError,
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
    EmailConfirmationRequest,
    IdentityLinkRequest,
    MessageResponse,
    SignInRequest,
)
from hoc.cus.account.L5_schemas.port_types import Page, Versioned
from hoc.cus.account.L5_schemas.results import LinkedIdentitiesResult


@Operation(
    "POST",
    "/accounts/ensure",
    Ensured[AccountProfileResponse],
    scopes=WRITERS,
    status=201,
    body=AccountEnsureRequest,
)
async def ensure_account(
    service: AccountService, call: Call[AccountEnsureRequest]
) -> Ensured[AccountProfileResponse]:
    """Create an account unless it is there (201 created, 200 as it is stored)."""
    account, was_created = await service.ensure_account(call.body, actor=call.caller_id)
    return Ensured(account, was_created)


@Operation(
    "GET",
    "/accounts/profile/{user_id}",
    Versioned[AccountProfileResponse],
    scopes=READERS,
    own="user_id",
    errors=(404,),
)
async def get_account(service: AccountService, call: Call) -> Versioned[AccountProfileResponse]:
    """Read an active account."""
    return await service.get_versioned_profile(call.path["user_id"])


@Operation(
    "PUT",
    "/accounts/profile/{user_id}",
    Versioned[AccountProfileResponse],
    scopes=WRITERS,
    own="user_id",
    body=AccountUpdateRequest,
    errors=(404, 429),
    conditional=True,
    queues_work=True,
)
async def update_account(
    service: AccountService, call: Call[AccountUpdateRequest]
) -> Versioned[AccountProfileResponse]:
    """Change an account's name and address. An owner's new address has to be confirmed by its mailbox."""
    is_own = set(WRITERS).isdisjoint(call.scopes)
    if call.body.email_verified is not None and is_own:
        raise ForbiddenError(
            f"To set email_verified needs the scope {' or '.join(WRITERS)}.", code="missing_scope"
        )
    return await service.update_versioned_profile(
        call.path["user_id"],
        call.body,
        is_own=is_own,
        actor=call.caller_id,
        expected_version=call.expected_version,
    )


@Operation(
    "DELETE",
    "/accounts/profile/{user_id}",
    MessageResponse,
    scopes=ADMINS,
    query=DeletionQuery,
    errors=(404, 409),
    conditional=True,
)
async def delete_account(service: AccountService, call: Call[None, DeletionQuery]) -> MessageResponse:
    """Delete an account, keeping its record."""
    await service.delete_account(
        call.path["user_id"],
        call.query.reason,
        actor=call.caller_id,
        expected_version=call.expected_version,
    )
    return MessageResponse("Account deleted successfully")


@Operation(
    "PUT",
    "/accounts/preferences/{user_id}",
    MessageResponse,
    scopes=WRITERS,
    own="user_id",
    body=dict[str, Any],
    errors=(404,),
    conditional=True,
)
async def update_preferences(service: AccountService, call: Call[dict[str, Any]]) -> MessageResponse:
    """Merge preferences into an account's: the body is the patch (RFC 7396)."""
    try:
        await service.update_account_preferences(
            call.path["user_id"],
            AccountPreferencesRequest(call.body),
            actor=call.caller_id,
            expected_version=call.expected_version,
        )
    except AccountValidationError as refusal:
        # On this route the request body is the patch itself, so the pointer is the root.
        problems = tuple(FieldProblem("", found.detail) for found in refusal.problems)
        raise AccountValidationError(refusal.message, problems=problems) from None
    return MessageResponse("Preferences updated successfully")


@Operation("GET", "/accounts", Page[AccountSearchResponse], opens=REPLICA, scopes=ADMINS, query=AccountsQuery)
async def list_accounts(
    service: AccountService, call: Call[None, AccountsQuery]
) -> Page[AccountSearchResponse]:
    """List accounts, newest first."""
    given = call.query.given()
    is_active = {"true": True, "false": False, "all": None}[given.pop("is_active", "true")]
    found = await service.list_accounts(AccountListParams(is_active=is_active, **given), session=call.session)
    return Page(found, found.next_cursor)


@Operation(
    "GET",
    "/accounts/search",
    list[AccountSummaryResponse],
    opens=REPLICA,
    scopes=READERS,
    query=SearchQuery,
)
async def search_accounts(
    service: AccountService, call: Call[None, SearchQuery]
) -> list[AccountSummaryResponse]:
    """Find accounts by a part of their name or address, or one by its whole address."""
    given = call.query.given()
    include_inactive = given.pop("include_inactive", "false") == "true"
    params = AccountSearchParams(**given, include_inactive=include_inactive)
    return await service.search_accounts(params, session=call.session)


@Operation(
    "GET",
    "/accounts/by-email/{email}",
    Versioned[AccountProfileResponse],
    scopes=READERS,
    errors=(404,),
    ends_with_any_text=True,
)
async def get_account_by_email(service: AccountService, call: Call) -> Versioned[AccountProfileResponse]:
    """Read the active account with an address, in any case."""
    account = await service.get_versioned_profile_by_email(call.path["email"])
    if account is None:
        raise AccountNotFoundError("There is no active account with this address.")
    return account


@Operation(
    "PUT",
    "/accounts/status/{user_id}",
    MessageResponse,
    scopes=ADMINS,
    body=AccountStatusChangeRequest,
    errors=(404, 409, 429),
    conditional=True,
)
async def change_status(service: AccountService, call: Call[AccountStatusChangeRequest]) -> MessageResponse:
    """Activate or deactivate an account."""
    await service.change_account_status(
        call.path["user_id"], call.body, actor=call.caller_id, expected_version=call.expected_version
    )
    word = "activated" if call.body.is_active else "deactivated"
    return MessageResponse(f"Account {word} successfully")


@Operation("GET", "/accounts/stats", AccountStatsResponse, opens=REPLICA, scopes=ADMINS)
async def get_stats(service: AccountService, call: Call) -> AccountStatsResponse:
    """Count accounts, exactly."""
    return await service.get_service_stats(session=call.session)


@Operation(
    "GET",
    "/accounts/profile/{user_id}/email-change",
    EmailChangeResponse,
    scopes=READERS,
    own="user_id",
    errors=(404,),
)
async def get_email_change(service: AccountService, call: Call) -> EmailChangeResponse:
    """Read the change of an account's address that has yet to be confirmed."""
    return await service.pending_email_change(call.path["user_id"])


@Operation(
    "POST",
    "/accounts/profile/{user_id}/email-change/link",
    EmailChangeLinkResponse,
    scopes=WRITERS,
    errors=(404,),
)
async def issue_email_change_link(service: AccountService, call: Call) -> EmailChangeLinkResponse:
    """Issue the link that confirms an account's new address instead of mailing it. Never to its owner."""
    return await service.email_change_link(call.path["user_id"])


@Operation(
    "DELETE",
    "/accounts/profile/{user_id}/email-change",
    MessageResponse,
    scopes=WRITERS,
    own="user_id",
    errors=(404,),
)
async def cancel_email_change(service: AccountService, call: Call) -> MessageResponse:
    """Cancel the change of an account's address that has yet to be confirmed."""
    await service.cancel_email_change(call.path["user_id"])
    return MessageResponse("No change of the address is pending")


@Operation(
    "POST",
    "/accounts/email-changes/confirm",
    MessageResponse,
    requires=NOTHING,
    body=EmailConfirmationRequest,
    errors=(404, 409, 410),
    queues_work=True,
)
async def confirm_email_change(
    service: AccountService, call: Call[EmailConfirmationRequest]
) -> MessageResponse:
    """Confirm a change of an address with the token mailed to it."""
    # The profile is not for whoever has the link, which may have gone to a mistyped address.
    await service.confirm_email_change(call.body.token)
    return MessageResponse("The address is confirmed")


@Operation(
    "GET",
    "/accounts/profile/{user_id}/identities",
    LinkedIdentitiesResult,
    scopes=READERS,
    own="user_id",
    errors=(404,),
)
async def list_identities(service: AccountService, call: Call) -> LinkedIdentitiesResult:
    """List the identities that are linked to an account."""
    return await service.list_identities(call.path["user_id"])


@Operation(
    "POST",
    "/accounts/profile/{user_id}/identities",
    LinkedIdentitiesResult,
    scopes=ADMINS,
    own="user_id",
    body=IdentityLinkRequest,
    errors=(404, 409),
)
async def link_identity(service: AccountService, call: Call[IdentityLinkRequest]) -> LinkedIdentitiesResult:
    """Link an identity to an account. The account's owner presents a token of the identity."""
    subject, issuer = call.body.subject, call.body.issuer
    if call.body.token is not None:
        caller = await call.identify(call.body.token)
        if caller is None:
            raise AccountValidationError.of("token", "is not a valid token of an identity")
        subject, issuer = caller.user_id, caller.issuer
    elif set(ADMINS).isdisjoint(call.scopes):
        raise ForbiddenError(
            "Send a token of the identity that is to be linked; without one this needs the scope"
            f" {' or '.join(ADMINS)}.",
            code="missing_scope",
        )
    if subject is None:
        raise AccountValidationError.of("subject", "is missing; send it, or a token of the identity")
    return await service.link_identity(call.path["user_id"], subject, issuer=issuer, actor=call.caller_id)


@Operation(
    "DELETE",
    "/accounts/profile/{user_id}/identities",
    LinkedIdentitiesResult,
    scopes=ADMINS,
    own="user_id",
    query=IdentityQuery,
    errors=(404, 409),
)
async def unlink_identity(service: AccountService, call: Call[None, IdentityQuery]) -> LinkedIdentitiesResult:
    """Unlink an identity from an account, unless nobody could sign in to the account without it."""
    return await service.unlink_identity(
        call.path["user_id"], call.query.subject, issuer=call.query.issuer or None, actor=call.caller_id
    )


@Operation(
    "POST",
    "/accounts/profile/{user_id}/sign-ins",
    MessageResponse,
    scopes=WRITERS,
    body=SignInRequest,
    body_optional=True,
    errors=(404,),
)
async def record_sign_in(service: AccountService, call: Call[SignInRequest]) -> MessageResponse:
    """Record that somebody signed in to an account, at most once a minute."""
    await service.record_sign_in(call.path["user_id"], call.body, actor=call.caller_id)
    return MessageResponse("Sign-in recorded")


IDENTITY_OPERATIONS: list[AnyOperation] = [
    ensure_account,
    get_account,
    update_account,
    delete_account,
    update_preferences,
    list_accounts,
    search_accounts,
    get_account_by_email,
    change_status,
    get_stats,
    get_email_change,
    issue_email_change_link,
    cancel_email_change,
    confirm_email_change,
    list_identities,
    link_identity,
    unlink_identity,
    record_sign_in,
]
