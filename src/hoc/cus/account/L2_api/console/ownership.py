"""Handing the tenant over."""

from hoc.cus.account.L2_api.bodies import StartTransfer
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import MEMBER, READ, TENANT, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult

PATH = "/tenant/ownership-transfer"


@Operation(
    "POST",
    PATH,
    OwnershipTransferResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=StartTransfer,
    errors=(404, 409),
    idempotent=True,
)
async def start_transfer(accounts: AccountsFacade, call: Call[StartTransfer]) -> OwnershipTransferResult:
    """Offer the caller's ownership to another member."""
    return await accounts.ownership.start(call.session, call.tenant_id, call.caller_id, call.body.to_user_id)


@Operation("GET", PATH, OwnershipTransferResult, requires=MEMBER, opens=READ, errors=(404,))
async def get_transfer(accounts: AccountsFacade, call: Call) -> OwnershipTransferResult:
    """Read the open offer."""
    return await accounts.ownership.get(call.session, call.tenant_id, call.caller_id)


@Operation(
    "POST", f"{PATH}/accept", OwnershipTransferResult, requires=TENANT, opens=TRANSACTION, errors=(404,)
)
async def accept_transfer(accounts: AccountsFacade, call: Call) -> OwnershipTransferResult:
    """Accept the offer: become an owner, the offerer an admin."""
    return await accounts.ownership.accept(call.session, call.tenant_id, call.caller_id)


@Operation("DELETE", PATH, OwnershipTransferResult, requires=TENANT, opens=TRANSACTION, errors=(404,))
async def cancel_transfer(accounts: AccountsFacade, call: Call) -> OwnershipTransferResult:
    """Withdraw or decline the offer."""
    return await accounts.ownership.cancel(call.session, call.tenant_id, call.caller_id)


OWNERSHIP: list[AnyOperation] = [start_transfer, get_transfer, accept_transfer, cancel_transfer]
