"""The tenant's members."""

from hoc.cus.account.L2_api.bodies import ChangeRole, RoleQuery, UpdateMember, UsersQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    MEMBER,
    READ,
    REPLICA,
    TENANT,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Versioned
from hoc.cus.account.L5_schemas.results import (
    ExtendedUserDetailResult,
    ExtendedUsersListResult,
    MemberLeftResult,
    TenantUserResult,
    TenantUsersListResult,
)


@Operation("GET", "/users", Page[ExtendedUsersListResult], requires=MEMBER, opens=REPLICA, query=UsersQuery)
async def list_users(accounts: AccountsFacade, call: Call[None, UsersQuery]) -> Page[ExtendedUsersListResult]:
    """List members, or those whose name or address contains ``search``."""
    return await accounts.members.list_users(call.session, call.tenant_id, **call.query.given())


@Operation(
    "GET", "/tenant/users", Page[TenantUsersListResult], requires=MEMBER, opens=REPLICA, query=RoleQuery
)
async def list_tenant_users(
    accounts: AccountsFacade, call: Call[None, RoleQuery]
) -> Page[TenantUsersListResult]:
    """List members with their roles."""
    return await accounts.members.list_tenant_users(call.session, call.tenant_id, **call.query.given())


@Operation(
    "GET", "/users/{user_id}", Versioned[ExtendedUserDetailResult], requires=MEMBER, opens=READ, errors=(404,)
)
async def get_user(accounts: AccountsFacade, call: Call) -> Versioned[ExtendedUserDetailResult]:
    """Read a member."""
    found = await accounts.members.get_user(call.session, call.tenant_id, call.path["user_id"])
    if found is None:
        raise NotFoundError("There is no such user in this tenant.")
    return found


@Operation(
    "PUT",
    "/users/{user_id}",
    Versioned[ExtendedUserDetailResult],
    requires=TENANT,
    opens=TRANSACTION,
    body=UpdateMember,
    errors=(404,),
    conditional=True,
)
async def update_user(
    accounts: AccountsFacade, call: Call[UpdateMember]
) -> Versioned[ExtendedUserDetailResult]:
    """Change the metadata of a membership."""
    return await accounts.members.update(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["user_id"],
        metadata=call.body.metadata,
        expected_version=call.expected_version,
    )


@Operation(
    "PUT",
    "/users/{user_id}/role",
    TenantUserResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=ChangeRole,
    errors=(404, 409),
    conditional=True,
)
async def change_role(accounts: AccountsFacade, call: Call[ChangeRole]) -> TenantUserResult:
    """Give a member another role."""
    return await accounts.members.change_role(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["user_id"],
        call.body.role,
        expected_version=call.expected_version,
    )


@Operation(
    "DELETE",
    "/users/{user_id}",
    MemberLeftResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404, 409),
    conditional=True,
)
async def remove_user(accounts: AccountsFacade, call: Call) -> MemberLeftResult:
    """Remove a member."""
    return await accounts.members.remove(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["user_id"],
        expected_version=call.expected_version,
    )


@Operation("POST", "/tenant/leave", MemberLeftResult, requires=TENANT, opens=TRANSACTION, errors=(409,))
async def leave_tenant(accounts: AccountsFacade, call: Call) -> MemberLeftResult:
    """Leave the tenant."""
    return await accounts.members.leave(call.session, call.tenant_id, call.caller_id)


USERS: list[AnyOperation] = [
    list_users,
    list_tenant_users,
    get_user,
    update_user,
    change_role,
    remove_user,
    leave_tenant,
]
