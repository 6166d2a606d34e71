"""What happened in the tenant."""

from hoc.cus.account.L2_api.bodies import AuditQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import REPLICA, TENANT, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import AuditListResult


@Operation("GET", "/audit", Page[AuditListResult], requires=TENANT, opens=REPLICA, query=AuditQuery)
async def list_audit(accounts: AccountsFacade, call: Call[None, AuditQuery]) -> Page[AuditListResult]:
    """List what happened in the tenant, newest first."""
    return await accounts.audit.list(call.session, call.tenant_id, call.caller_id, **call.query.given())


AUDIT: list[AnyOperation] = [list_audit]
