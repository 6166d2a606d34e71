"""Handing the tenant over."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import StartTransfer
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.ownership import OwnershipTransfers
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult

PATH = "/tenant/ownership-transfer"


class OwnershipRoutes:
    def __init__(self, transfers: OwnershipTransfers) -> None:
        self._transfers = transfers

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                PATH,
                self.start_transfer,
                "Offer the caller's ownership to another member",
                OwnershipTransferResult,
                status=201,
                body=StartTransfer,
                errors=(404, 409),
                idempotent=True,
            ),
            Operation(
                "GET", PATH, self.get_transfer, "Read the open offer", OwnershipTransferResult, errors=(404,)
            ),
            Operation(
                "POST",
                f"{PATH}/accept",
                self.accept_transfer,
                "Accept the offer: become an owner, the offerer an admin",
                OwnershipTransferResult,
                errors=(404,),
            ),
            Operation(
                "DELETE",
                PATH,
                self.cancel_transfer,
                "Withdraw or decline the offer",
                OwnershipTransferResult,
                errors=(404,),
            ),
        ]

    async def start_transfer(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        body = await call.body(StartTransfer)
        return await call.write(
            lambda session: self._transfers.start(session, tenant_id, caller_id, body.to_user_id),
            status=201,
            idempotent_in=tenant_id,
        )

    async def get_transfer(self, call: Call) -> Response:
        member = await call.member()
        return answer(
            await call.read(lambda session: self._transfers.get(session, member.tenant_id, member.user_id))
        )

    async def accept_transfer(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        return await call.write(lambda session: self._transfers.accept(session, tenant_id, caller_id))

    async def cancel_transfer(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        return await call.write(lambda session: self._transfers.cancel(session, tenant_id, caller_id))
