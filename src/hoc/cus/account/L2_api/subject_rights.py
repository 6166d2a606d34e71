"""The rights of the people whose data hoc has, on their behalf, with the scope ``accounts:admin``."""

from hoc.cus.account.L2_api.bodies import ExportQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import READ, REPLICA, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.erasure import (
    TenantErasedResult,
    TenantExport,
    UserErasedResult,
    UserExport,
)
from hoc.cus.account.L5_schemas.port_types import Page


@Operation("GET", "/accounts/profile/{user_id}/export", UserExport, opens=READ, scopes=ADMINS, errors=(404,))
async def export_user(accounts: AccountsFacade, call: Call) -> UserExport:
    """Export all that is held about a person."""
    return await accounts.erasure.export_user(call.session, call.path["user_id"])


@Operation(
    "POST",
    "/accounts/profile/{user_id}/erasure",
    UserErasedResult,
    opens=TRANSACTION,
    scopes=ADMINS,
    errors=(404, 409),
)
async def erase_user(accounts: AccountsFacade, call: Call) -> UserErasedResult:
    """Erase all that is known of a person. It cannot be undone."""
    return await accounts.erasure.erase_user(call.session, call.path["user_id"], actor=call.caller_id)


@Operation(
    "GET",
    "/tenants/{tenant_id}/export",
    Page[TenantExport],
    opens=REPLICA,
    query=ExportQuery,
    scopes=ADMINS,
    errors=(404,),
)
async def export_tenant(accounts: AccountsFacade, call: Call[None, ExportQuery]) -> Page[TenantExport]:
    """Export all that is held about a tenant, page by page."""
    return await accounts.erasure.export_tenant(call.session, call.path["tenant_id"], **call.query.given())


@Operation(
    "POST",
    "/tenants/{tenant_id}/erasure",
    TenantErasedResult,
    opens=TRANSACTION,
    scopes=ADMINS,
    errors=(404, 409),
)
async def erase_tenant(accounts: AccountsFacade, call: Call) -> TenantErasedResult:
    """Erase all that a tenant has that is terminated or archived. It cannot be undone."""
    return await accounts.erasure.erase_tenant(call.session, call.path["tenant_id"], actor=call.caller_id)


SUBJECT_RIGHTS_OPERATIONS: list[AnyOperation] = [export_user, erase_user, export_tenant, erase_tenant]
