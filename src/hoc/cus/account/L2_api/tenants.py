"""Tenants and registrations, for those who operate the product, with the scope ``accounts:admin``.

Mounted at ``/api/v1``. The console's operations are for a tenant's own members.
"""

from hoc.cus.account.L2_api.bodies import ChangeTenantStatus, RegistrationsQuery, TenantsQuery, UsersQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import READ, REPLICA, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.operators import AccountStatistics, TenantsResult
from hoc.cus.account.L5_schemas.port_types import Page, Versioned
from hoc.cus.account.L5_schemas.results import ExtendedProjectDetailResult, ExtendedUsersListResult


async def require_tenant(
    accounts: AccountsFacade, session: Session, tenant_id: str
) -> Versioned[ExtendedProjectDetailResult]:
    """A tenant in any status. Raises NotFoundError."""
    found = await accounts.projects.get(session, tenant_id, tenant_id)
    if found is None:
        raise NotFoundError("There is no such tenant.")
    return found


@Operation("GET", "/tenants", Page[TenantsResult], opens=REPLICA, scopes=ADMINS, query=TenantsQuery)
async def list_all_tenants(accounts: AccountsFacade, call: Call[None, TenantsQuery]) -> Page[TenantsResult]:
    """List or search all tenants, newest first."""
    return await accounts.operators.list_tenants(call.session, **call.query.given())


@Operation(
    "GET",
    "/tenants/{tenant_id}",
    Versioned[ExtendedProjectDetailResult],
    opens=READ,
    scopes=ADMINS,
    errors=(404,),
)
async def get_tenant(accounts: AccountsFacade, call: Call) -> Versioned[ExtendedProjectDetailResult]:
    """Read a tenant, in any status."""
    return await require_tenant(accounts, call.session, call.path["tenant_id"])


@Operation(
    "GET",
    "/tenants/{tenant_id}/users",
    Page[ExtendedUsersListResult],
    opens=REPLICA,
    scopes=ADMINS,
    query=UsersQuery,
    errors=(404,),
)
async def list_users_of_tenant(
    accounts: AccountsFacade, call: Call[None, UsersQuery]
) -> Page[ExtendedUsersListResult]:
    """List or search a tenant's members."""
    tenant_id = call.path["tenant_id"]
    members = await accounts.members.list_users(call.session, tenant_id, **call.query.given())
    if not members.value.total:
        await require_tenant(accounts, call.session, tenant_id)
    return members


@Operation(
    "PUT",
    "/tenants/{tenant_id}/status",
    ExtendedProjectDetailResult,
    opens=TRANSACTION,
    scopes=ADMINS,
    body=ChangeTenantStatus,
    errors=(404, 409),
    conditional=True,
)
async def change_tenant_status(
    accounts: AccountsFacade, call: Call[ChangeTenantStatus]
) -> ExtendedProjectDetailResult:
    """Suspend, reactivate, terminate or archive a tenant."""
    return await accounts.projects.change_status(
        call.session,
        call.path["tenant_id"],
        call.body.status,
        actor=call.caller_id,
        expected_version=call.expected_version,
    )


@Operation("GET", "/registrations", AccountStatistics, opens=REPLICA, scopes=ADMINS, query=RegistrationsQuery)
async def get_registrations(
    accounts: AccountsFacade, call: Call[None, RegistrationsQuery]
) -> AccountStatistics:
    """Count accounts, and those that were created on each of the last UTC days."""
    return await accounts.operators.get_statistics(call.session, **call.query.given())


TENANT_OPERATIONS: list[AnyOperation] = [
    list_all_tenants,
    get_tenant,
    list_users_of_tenant,
    change_tenant_status,
    get_registrations,
]
