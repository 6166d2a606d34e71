"""What happened in the tenant."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import AuditQuery
from hoc.cus.account.L2_api.calls import Call
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.audit import AuditTrail
from hoc.cus.account.L5_schemas.results import AuditListResult


class AuditRoutes:
    def __init__(self, audit: AuditTrail) -> None:
        self._audit = audit

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/audit",
                self.list_audit,
                "List what happened in the tenant, newest first",
                AuditListResult,
                query=AuditQuery,
            ),
        ]

    async def list_audit(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        return await call.page(AuditQuery, self._audit.list, tenant_id, caller_id)
