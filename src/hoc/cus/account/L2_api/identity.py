"""The identity service's operations, by the scopes of who calls. They are mounted at ``/api/v1``."""

from typing import Any

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import AccountsQuery, DeletionQuery, SearchQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_schemas.errors import AccountNotFoundError, AccountValidationError, FieldProblem
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
    MessageResponse,
)

PREFIX = "/accounts"

READ = ("accounts:read", "accounts:admin")
WRITE = ("accounts:write", "accounts:admin")
ADMIN = ("accounts:admin",)


class IdentityRoutes:
    """A caller without these scopes reads and changes their own profile and preferences, and nothing else."""

    def __init__(self, accounts: AccountService) -> None:
        self._accounts = accounts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                f"{PREFIX}/ensure",
                self.ensure_account,
                "Create an account unless it is there (201 created, 200 as it is stored)",
                AccountProfileResponse,
                status=201,
                body=AccountEnsureRequest,
                also=(200,),
            ),
            Operation(
                "GET",
                f"{PREFIX}/profile/{{user_id}}",
                self.get_account,
                "Read an active account",
                AccountProfileResponse,
                errors=(404,),
            ),
            Operation(
                "PUT",
                f"{PREFIX}/profile/{{user_id}}",
                self.update_account,
                "Change an account's name and address",
                AccountProfileResponse,
                body=AccountUpdateRequest,
                errors=(404,),
            ),
            Operation(
                "DELETE",
                f"{PREFIX}/profile/{{user_id}}",
                self.delete_account,
                "Delete an account, keeping its record",
                MessageResponse,
                query=DeletionQuery,
                errors=(404, 409),
            ),
            Operation(
                "PUT",
                f"{PREFIX}/preferences/{{user_id}}",
                self.update_preferences,
                "Merge preferences into an account's: the body is the patch (RFC 7396)",
                MessageResponse,
                body=dict[str, Any],
                errors=(404,),
            ),
            Operation(
                "GET",
                PREFIX,
                self.list_accounts,
                "List accounts, newest first",
                AccountSearchResponse,
                query=AccountsQuery,
            ),
            Operation(
                "GET",
                f"{PREFIX}/search",
                self.search_accounts,
                "Find accounts by a part of their name or address",
                list[AccountSummaryResponse],
                query=SearchQuery,
            ),
            Operation(
                "GET",
                f"{PREFIX}/by-email/{{email}}",
                self.get_account_by_email,
                "Read the active account with an address, in any case",
                AccountProfileResponse,
                errors=(404,),
            ),
            Operation(
                "PUT",
                f"{PREFIX}/status/{{user_id}}",
                self.change_status,
                "Activate or deactivate an account",
                MessageResponse,
                body=AccountStatusChangeRequest,
                errors=(404, 409),
            ),
            Operation(
                "GET", f"{PREFIX}/stats", self.get_stats, "Count accounts, exactly", AccountStatsResponse
            ),
        ]

    async def ensure_account(self, call: Call) -> Response:
        call.authorize(WRITE)
        request = await call.body(AccountEnsureRequest)
        account, was_created = await self._accounts.ensure_account(request, actor=call.caller.user_id)
        return answer(account, 201 if was_created else 200)

    async def get_account(self, call: Call) -> Response:
        user_id = call.path("user_id")
        call.authorize(READ, own=user_id)
        return answer(await self._accounts.get_account_profile(user_id))

    async def update_account(self, call: Call) -> Response:
        user_id = call.path("user_id")
        call.authorize(WRITE, own=user_id)
        request = await call.body(AccountUpdateRequest)
        return answer(
            await self._accounts.update_account_profile(user_id, request, actor=call.caller.user_id)
        )

    async def delete_account(self, call: Call) -> Response:
        user_id = call.path("user_id")
        call.authorize(ADMIN)
        query = call.query(DeletionQuery)
        await self._accounts.delete_account(user_id, **query, actor=call.caller.user_id)
        return answer(MessageResponse("Account deleted successfully"))

    async def update_preferences(self, call: Call) -> Response:
        user_id = call.path("user_id")
        call.authorize(WRITE, own=user_id)
        patch: dict[str, Any] = await call.body(dict[str, Any])
        try:
            await self._accounts.update_account_preferences(
                user_id, AccountPreferencesRequest(patch), actor=call.caller.user_id
            )
        except AccountValidationError as refusal:
            # The patch is the whole body here, and no member of it.
            problems = tuple(FieldProblem("", found.detail) for found in refusal.problems)
            raise AccountValidationError(refusal.message, problems=problems) from None
        return answer(MessageResponse("Preferences updated successfully"))

    async def list_accounts(self, call: Call) -> Response:
        call.authorize(ADMIN)
        query = call.query(AccountsQuery)
        kind = {"true": True, "false": False, "all": None}[query.pop("is_active", "true")]
        page = await self._accounts.list_accounts(AccountListParams(is_active=kind, **query))
        return answer(page, headers=call.link(page.next_cursor))

    async def search_accounts(self, call: Call) -> Response:
        call.authorize(READ)
        query = call.query(SearchQuery)
        include_inactive = query.pop("include_inactive", "false") == "true"
        params = AccountSearchParams(**query, include_inactive=include_inactive)
        return answer(await self._accounts.search_accounts(params))

    async def get_account_by_email(self, call: Call) -> Response:
        call.authorize(READ)
        account = await self._accounts.get_account_by_email(call.path("email"))
        if account is None:
            raise AccountNotFoundError("There is no active account with this address.")
        return answer(account)

    async def change_status(self, call: Call) -> Response:
        user_id = call.path("user_id")
        call.authorize(ADMIN)
        request = await call.body(AccountStatusChangeRequest)
        await self._accounts.change_account_status(user_id, request, actor=call.caller.user_id)
        word = "activated" if request.is_active else "deactivated"
        return answer(MessageResponse(f"Account {word} successfully"))

    async def get_stats(self, call: Call) -> Response:
        call.authorize(ADMIN)
        return answer(await self._accounts.get_service_stats())
