"""The tenant's members."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import ChangeRole, PageQuery, UsersQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.members import Members
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.results import (
    MemberLeftResult,
    TenantUserResult,
    TenantUsersListResult,
    UserDetailResult,
    UsersListResult,
)


class UserRoutes:
    def __init__(self, members: Members) -> None:
        self._members = members

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/users", self.list_users, "List members", UsersListResult, query=UsersQuery),
            Operation(
                "GET",
                "/tenant/users",
                self.list_tenant_users,
                "List members with their roles",
                TenantUsersListResult,
                query=PageQuery,
            ),
            Operation(
                "GET",
                "/users/{user_id}",
                self.get_user,
                "Read a member",
                UserDetailResult,
                errors=(404,),
                versioned=True,
            ),
            Operation(
                "PUT",
                "/users/{user_id}/role",
                self.change_role,
                "Give a member another role",
                TenantUserResult,
                body=ChangeRole,
                errors=(404, 409, 412),
                conditional=True,
            ),
            Operation(
                "DELETE",
                "/users/{user_id}",
                self.remove_user,
                "Remove a member",
                MemberLeftResult,
                errors=(404, 409),
            ),
            Operation(
                "POST",
                "/tenant/leave",
                self.leave_tenant,
                "Leave the tenant",
                MemberLeftResult,
                errors=(409,),
            ),
        ]

    async def list_users(self, call: Call) -> Response:
        member = await call.member()
        return await call.page(UsersQuery, self._members.list_users, member.tenant_id)

    async def list_tenant_users(self, call: Call) -> Response:
        member = await call.member()
        return await call.page(PageQuery, self._members.list_tenant_users, member.tenant_id)

    async def get_user(self, call: Call) -> Response:
        member = await call.member()
        user_id = call.path("user_id")
        found = await call.read(lambda session: self._members.get_user(session, member.tenant_id, user_id))
        if found is None:
            raise NotFoundError("There is no such user in this tenant.")
        return answer(found)

    async def change_role(self, call: Call) -> Response:
        tenant_id, caller_id, user_id = call.tenant_id, call.caller.user_id, call.path("user_id")
        body = await call.body(ChangeRole)
        version = call.expected_version()
        return await call.write(
            lambda session: self._members.change_role(
                session, tenant_id, caller_id, user_id, body.role, expected_version=version
            )
        )

    async def remove_user(self, call: Call) -> Response:
        tenant_id, caller_id, user_id = call.tenant_id, call.caller.user_id, call.path("user_id")
        return await call.write(lambda session: self._members.remove(session, tenant_id, caller_id, user_id))

    async def leave_tenant(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        return await call.write(lambda session: self._members.leave(session, tenant_id, caller_id))
