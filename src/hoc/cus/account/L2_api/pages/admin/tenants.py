"""Tenants: the list, the search, one tenant, and its status."""

from pydantic import Field

from hoc.cus.account.L2_api.bodies import Body, Cursor, Query
from hoc.cus.account.L2_api.operations import CALLER, READ, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L2_api.tenants import require_tenant
from hoc.cus.account.L5_engines.projects import next_statuses
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, AnyTenantStatus, TenantStatus

_VERBS = {
    TenantStatus.ACTIVE: "Reactivate",
    TenantStatus.SUSPENDED: "Suspend",
    TenantStatus.TERMINATED: "Terminate",
    TenantStatus.ARCHIVED: "Archive",
}
_EFFECTS = {
    TenantStatus.ACTIVE: "Its members can change it again.",
    TenantStatus.SUSPENDED: "Its members can read it, and change nothing.",
    TenantStatus.TERMINATED: "Nobody has access any more, and that cannot be undone.",
    TenantStatus.ARCHIVED: "Its rows are kept. Nobody has access.",
}


class ListedTenants(Query):
    status: AnyTenantStatus | None = None
    cursor: Cursor | None = None


class SearchedTenants(Body):
    """A search is posted: whatever somebody types into it, an address say, is in no URL."""

    search: str = Field("", max_length=255)
    status: AnyTenantStatus | None = None
    cursor: Cursor | None = None


@Page(
    "GET",
    "/admin/tenants",
    requires=CALLER,
    scopes=ADMINS,
    query=ListedTenants,
    nav=Nav("Tenants", "project"),
)
async def admin_tenants(view: View[None, ListedTenants]) -> Answer:
    return await _show(view, view.query)


@Page(
    "POST",
    "/admin/tenants/search",
    requires=CALLER,
    scopes=ADMINS,
    opens=READ,
    body=SearchedTenants,
    again=admin_tenants,
)
async def search_tenants(view: View[SearchedTenants]) -> Answer:
    return await _show(view, view.body, view.body.search.strip())


async def _show(view: AnyView, chosen: ListedTenants | SearchedTenants, search: str = "") -> Answer:
    status = chosen.status
    page = await view.accounts.operators.list_tenants(
        view.session, status=status, search=search, cursor=chosen.cursor
    )
    return view.show(
        "admin_tenants.html",
        "Tenants",
        tenants=page.value.tenants,
        statuses=list(TenantStatus),
        query=chosen,
        search=search,
        next_cursor=page.next_cursor,
        next=page.next_cursor and view.admin_path("tenants", status=status, cursor=page.next_cursor),
        first=chosen.cursor and view.admin_path("tenants", status=status),
    )


@Page("GET", "/admin/tenants/{tenant_id}", requires=CALLER, scopes=ADMINS)
async def admin_tenant(view: View) -> Answer:
    tenant_id = view.path["tenant_id"]
    tenant = (await require_tenant(view.accounts, view.session, tenant_id)).value
    return view.show(
        "admin_tenant.html",
        tenant.name or "Erased tenant",
        tenant=tenant,
        has_ended=tenant.status in CLOSED_TENANT,
        path=view.admin_path("tenants", tenant_id),
        changes=[(status, _VERBS[status], _EFFECTS[status]) for status in next_statuses(tenant.status)],
    )


@Page("GET", "/admin/tenants/{tenant_id}/erase", requires=CALLER, scopes=ADMINS)
async def ask_to_erase_tenant(view: View) -> Answer:
    tenant_id = view.path["tenant_id"]
    tenant = (await require_tenant(view.accounts, view.session, tenant_id)).value
    return view.confirm(
        f"Erase {tenant.name or 'this tenant'}?",
        "All that this tenant has is erased, and that cannot be undone: memberships, invitations, tickets,"
        " invoices, usage, and the texts of past events. Only its id stays. Its members keep their accounts."
        " Events that other systems have received, and backups, are beyond reach.",
        action=view.admin_path("tenants", tenant_id, "erase"),
        label="Erase for ever",
        back=view.admin_path("tenants", tenant_id),
    )


@Page(
    "POST",
    "/admin/tenants/{tenant_id}/erase",
    requires=CALLER,
    scopes=ADMINS,
    opens=TRANSACTION,
    again=ask_to_erase_tenant,
)
async def erase_tenant(view: View) -> Answer:
    tenant_id = view.path["tenant_id"]
    await view.accounts.erasure.erase_tenant(view.session, tenant_id, actor=view.caller_id)
    return view.go(view.admin_path("tenants"), f"Erased. Only the id {tenant_id} stays.")


@Page("GET", "/admin/tenants/{tenant_id}/{status}", requires=CALLER, scopes=ADMINS)
async def ask_to_change_tenant(view: View) -> Answer:
    tenant_id, target = view.path["tenant_id"], _target(view)
    tenant = (await require_tenant(view.accounts, view.session, tenant_id)).value
    if target not in next_statuses(tenant.status):
        raise NotFoundError(f"This tenant is {tenant.status}, and cannot become {target}.")
    return view.confirm(
        f"{_VERBS[target]} {tenant.name}?",
        _EFFECTS[target],
        action=view.admin_path("tenants", tenant_id, target),
        label=f"{_VERBS[target]} tenant",
        back=view.admin_path("tenants", tenant_id),
        danger=target is not TenantStatus.ACTIVE,
    )


@Page(
    "POST",
    "/admin/tenants/{tenant_id}/{status}",
    requires=CALLER,
    scopes=ADMINS,
    opens=TRANSACTION,
    again=admin_tenant,
)
async def change_tenant_status(view: View) -> Answer:
    tenant_id = view.path["tenant_id"]
    tenant = await view.accounts.projects.change_status(
        view.session, tenant_id, _target(view), actor=view.caller_id
    )
    return view.go(view.admin_path("tenants", tenant_id), f"{tenant.name} is {tenant.status}.")


def _target(view: AnyView) -> TenantStatus:
    """The status in the path."""
    try:
        return TenantStatus(view.path["status"])
    except ValueError:
        raise NotFoundError("There is no such status of a tenant.") from None


TENANTS: list[AnyPage] = [
    admin_tenants,
    search_tenants,
    admin_tenant,
    ask_to_erase_tenant,
    erase_tenant,
    ask_to_change_tenant,
    change_tenant_status,
]
