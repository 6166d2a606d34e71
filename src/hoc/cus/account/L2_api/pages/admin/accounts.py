"""Accounts: the list, the search, one account whole, and its status."""

from typing import Literal

from pydantic import Field

from hoc.cus.account.L2_api.bodies import Body, Cursor, Query
from hoc.cus.account.L2_api.operations import CALLER, NO_SESSION, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_schemas.identity import AccountListParams, AccountStatusChangeRequest

Kind = Literal["active", "inactive", "all"]
_IS_ACTIVE: dict[Kind, bool | None] = {"active": True, "inactive": False, "all": None}


class ListedAccounts(Query):
    status: Kind = "active"
    cursor: Cursor | None = None


class SearchedAccounts(Body):
    """A search is posted, because an address must be in no URL."""

    search: str = Field("", max_length=255)
    status: Kind = "active"
    cursor: Cursor | None = None


class Reason(Body):
    reason: str | None = None


# The identity service opens sessions of its own: a page that held one, too, could wait for a second for ever.
@Page(
    "GET",
    "/admin/accounts",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    query=ListedAccounts,
    nav=Nav("Accounts", "people"),
)
async def admin_accounts(view: View[None, ListedAccounts]) -> Answer:
    query = view.query
    return await _show(
        view, AccountListParams(is_active=_IS_ACTIVE[query.status], cursor=query.cursor), query
    )


@Page(
    "POST",
    "/admin/accounts/search",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    body=SearchedAccounts,
    again=admin_accounts,
)
async def search_accounts(view: View[SearchedAccounts]) -> Answer:
    body = view.body
    wanted = AccountListParams(is_active=_IS_ACTIVE[body.status], search=body.search, cursor=body.cursor)
    return await _show(view, wanted, body)


async def _show(
    view: AnyView, wanted: AccountListParams, chosen: ListedAccounts | SearchedAccounts
) -> Answer:
    found = await view.identity.list_accounts(wanted)
    return view.show(
        "admin_accounts.html",
        "Accounts",
        page=found,
        search=(wanted.search or "").strip(),
        kinds=["active", "inactive", "all"],
        next=found.next_cursor
        and view.admin_path("accounts", status=chosen.status, cursor=found.next_cursor),
        first=chosen.cursor and view.admin_path("accounts", status=chosen.status),
        query=chosen,
    )


@Page("GET", "/admin/accounts/{user_id}", requires=CALLER, scopes=ADMINS)
async def admin_account(view: View) -> Answer:
    whole = await view.accounts.operators.get_account(view.session, view.path["user_id"])
    account = whole.account
    return view.show(
        "admin_account.html",
        account.name or account.email or "Erased account",
        whole=whole,
        account=account,
        path=view.admin_path("accounts", account.user_id),
        is_self=account.user_id == view.caller_id,
    )


@Page("GET", "/admin/accounts/{user_id}/deactivate", requires=CALLER, scopes=ADMINS)
async def ask_to_deactivate_account(view: View) -> Answer:
    return await _ask(
        view,
        "Deactivate {name}?",
        "{name} can no longer sign in, and counts in no project. You can activate the account again.",
        label="Deactivate account",
        step="deactivate",
    )


@Page(
    "POST",
    "/admin/accounts/{user_id}/deactivate",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    body=Reason,
    again=ask_to_deactivate_account,
)
async def deactivate_account(view: View[Reason]) -> Answer:
    request = AccountStatusChangeRequest(is_active=False, reason=view.body.reason)
    await view.identity.change_account_status(view.path["user_id"], request, actor=view.caller_id)
    return view.go(view.admin_path("accounts", view.path["user_id"]), "The account is deactivated.")


@Page(
    "POST",
    "/admin/accounts/{user_id}/activate",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    again=admin_account,
)
async def activate_account(view: View) -> Answer:
    request = AccountStatusChangeRequest(is_active=True)
    await view.identity.change_account_status(view.path["user_id"], request, actor=view.caller_id)
    return view.go(view.admin_path("accounts", view.path["user_id"]), "The account is active.")


@Page("GET", "/admin/accounts/{user_id}/delete", requires=CALLER, scopes=ADMINS)
async def ask_to_delete_account(view: View) -> Answer:
    return await _ask(
        view,
        "Delete {name}?",
        "{name} can no longer sign in, and counts in no project. Another account can take the address."
        " The record stays, for the audit trail.",
        label="Delete account",
        step="delete",
    )


@Page(
    "POST",
    "/admin/accounts/{user_id}/delete",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    body=Reason,
    again=ask_to_delete_account,
)
async def delete_account(view: View[Reason]) -> Answer:
    await view.identity.delete_account(view.path["user_id"], view.body.reason, actor=view.caller_id)
    return view.go(view.admin_path("accounts", view.path["user_id"]), "The account is deleted.")


@Page("GET", "/admin/accounts/{user_id}/erase", requires=CALLER, scopes=ADMINS)
async def ask_to_erase_account(view: View) -> Answer:
    account = (await view.accounts.operators.get_account(view.session, view.path["user_id"])).account
    name = account.name or account.email or "this account"
    return view.confirm(
        f"Erase {name}?",
        f"All that is known of {name} is erased, and that cannot be undone: the account, the memberships, the"
        " texts of tickets and replies, invitations, and what past events say. Only the account id stays. The"
        " person can sign up again, as somebody new. Mails that were sent, events that other systems have"
        " received, and backups are beyond reach.",
        action=view.admin_path("accounts", account.user_id, "erase"),
        label="Erase for ever",
        back=view.admin_path("accounts", account.user_id),
    )


@Page(
    "POST",
    "/admin/accounts/{user_id}/erase",
    requires=CALLER,
    scopes=ADMINS,
    opens=TRANSACTION,
    again=ask_to_erase_account,
)
async def erase_account(view: View) -> Answer:
    user_id = view.path["user_id"]
    await view.accounts.erasure.erase_user(view.session, user_id, actor=view.caller_id)
    return view.go(view.admin_path("accounts"), f"Erased. Only the id {user_id} stays.")


async def _ask(view: AnyView, title: str, text: str, *, label: str, step: str) -> Answer:
    """A page that asks before it ends an account, and why."""
    account = (await view.accounts.operators.get_account(view.session, view.path["user_id"])).account
    name = account.name or account.email
    return view.show(
        "admin_account_end.html",
        title.format(name=name),
        text=text.format(name=name),
        label=label,
        action=view.admin_path("accounts", account.user_id, step),
        back=view.admin_path("accounts", account.user_id),
    )


@Page(
    "POST",
    "/admin/accounts/{user_id}/cancel-email-change",
    requires=CALLER,
    scopes=ADMINS,
    opens=NO_SESSION,
    again=admin_account,
)
async def cancel_email_change(view: View) -> Answer:
    await view.identity.cancel_email_change(view.path["user_id"])
    return view.go(
        view.admin_path("accounts", view.path["user_id"]),
        "The change of the address is cancelled. Its link no longer works.",
    )


ACCOUNTS: list[AnyPage] = [
    admin_accounts,
    search_accounts,
    admin_account,
    ask_to_deactivate_account,
    deactivate_account,
    activate_account,
    ask_to_delete_account,
    delete_account,
    ask_to_erase_account,
    erase_account,
    cancel_email_change,
]
