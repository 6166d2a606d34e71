"""What owners set up for the tenant's SCIM client: its tokens, and the roles that its groups give."""

from hoc.cus.account.L2_api.bodies import CreateScimToken, PageQuery, SetScimGroupRole
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import READ, REPLICA, TENANT, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.scim import (
    NewScimTokenResult,
    ScimGroupRoleRemovedResult,
    ScimGroupRoleResult,
    ScimGroupRolesListResult,
    ScimTokenResult,
    ScimTokensListResult,
)


@Operation("GET", "/scim/tokens", Page[ScimTokensListResult], requires=TENANT, opens=REPLICA, query=PageQuery)
async def list_scim_tokens(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[ScimTokensListResult]:
    """List the SCIM client's tokens with their last use, for owners."""
    return await accounts.scim_tokens.list(call.session, call.tenant_id, call.caller_id, **call.query.given())


@Operation(
    "POST",
    "/scim/tokens",
    NewScimTokenResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=CreateScimToken,
    errors=(429,),
)
async def create_scim_token(accounts: AccountsFacade, call: Call[CreateScimToken]) -> NewScimTokenResult:
    """Make a token for the SCIM client, for owners; only this answer has it."""
    return await accounts.scim_tokens.create(
        call.session, call.tenant_id, call.caller_id, **call.body.model_dump()
    )


@Operation("GET", "/scim/tokens/{token_id}", ScimTokenResult, requires=TENANT, opens=READ, errors=(404,))
async def get_scim_token(accounts: AccountsFacade, call: Call) -> ScimTokenResult:
    """Read a token's name, term and last use, for owners."""
    return await accounts.scim_tokens.get(call.session, call.tenant_id, call.caller_id, call.path["token_id"])


@Operation(
    "DELETE", "/scim/tokens/{token_id}", ScimTokenResult, requires=TENANT, opens=TRANSACTION, errors=(404,)
)
async def revoke_scim_token(accounts: AccountsFacade, call: Call) -> ScimTokenResult:
    """Revoke a token, for owners."""
    return await accounts.scim_tokens.revoke(
        call.session, call.tenant_id, call.caller_id, call.path["token_id"]
    )


@Operation(
    "GET",
    "/scim/group-roles",
    Page[ScimGroupRolesListResult],
    requires=TENANT,
    opens=REPLICA,
    query=PageQuery,
)
async def list_scim_group_roles(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[ScimGroupRolesListResult]:
    """List the roles that the SCIM client's groups give, for owners."""
    return await accounts.scim_group_roles.list(
        call.session, call.tenant_id, call.caller_id, **call.query.given()
    )


@Operation(
    "PUT",
    "/scim/group-roles",
    ScimGroupRoleResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=SetScimGroupRole,
    errors=(429,),
)
async def set_scim_group_role(accounts: AccountsFacade, call: Call[SetScimGroupRole]) -> ScimGroupRoleResult:
    """Give the members of a group a role, for owners."""
    return await accounts.scim_group_roles.set(
        call.session, call.tenant_id, call.caller_id, call.body.group, role=call.body.role
    )


@Operation(
    "DELETE",
    "/scim/group-roles/{group}",
    ScimGroupRoleRemovedResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404,),
    ends_with_any_text=True,
)
async def remove_scim_group_role(accounts: AccountsFacade, call: Call) -> ScimGroupRoleRemovedResult:
    """Let a group give no role any more, for owners."""
    return await accounts.scim_group_roles.remove(
        call.session, call.tenant_id, call.caller_id, call.path["group"]
    )


SCIM: list[AnyOperation] = [
    list_scim_tokens,
    create_scim_token,
    get_scim_token,
    revoke_scim_token,
    list_scim_group_roles,
    set_scim_group_role,
    remove_scim_group_role,
]
"""Served where `Settings.scim` is on."""
