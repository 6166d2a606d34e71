"""Members: the list, one member, roles, removal, leaving."""

from typing import Annotated, Any

from hoc.cus.account.L2_api.bodies import Body, ChangeRole, Digits, StatusQuery
from hoc.cus.account.L2_api.operations import READ, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.values import Role, UserStatus


class MembersQuery(StatusQuery):
    """Without a search, which is in no URL."""

    role: str | None = None


class SearchMembers(Body):
    """A search is sent as a form, because it is a part of a name or an address."""

    search: str | None = None
    role: str | None = None
    status: str | None = None
    cursor: str | None = None


class RoleForm(ChangeRole):
    """``version`` is that of the membership that the form showed."""

    version: Annotated[int, Digits]


@Page("GET", "/members", query=MembersQuery, nav=Nav("Members", "people"))
async def members(view: View[None, MembersQuery]) -> Answer:
    return await _listed(view, view.query.given())


@Page("POST", "/members/search", opens=READ, body=SearchMembers, again=members)
async def search_members(view: View[SearchMembers]) -> Answer:
    return await _listed(view, view.body.model_dump(exclude_none=True))


async def _listed(view: View[Any, Any], asked: dict[str, Any]) -> Answer:
    page = await view.accounts.members.list_users(view.session, view.tenant_id, **asked)
    return view.show(
        "members.html",
        "Members",
        page=page.value,
        asked={name: value for name, value in asked.items() if name in {"search", "role", "status"}},
        next_cursor=page.next_cursor,
        is_first="cursor" not in asked,
        roles=list(Role),
        statuses=list(UserStatus),
        may_invite=view.role.can_manage_users,
        has_offer=await _has_offer(view),
    )


async def _has_offer(view: AnyView) -> bool:
    """Whether an offer of the ownership is open that the caller may see."""
    try:
        await view.accounts.ownership.get(view.session, view.tenant_id, view.caller_id)
    except NotFoundError:
        return False
    return True


@Page("GET", "/members/{user_id}")
async def member(view: View) -> Answer:
    user_id = view.path["user_id"]
    found = await view.accounts.members.get_user(view.session, view.tenant_id, user_id)
    if found is None:
        raise NotFoundError("There is no such member. The person may have left, or was removed.")
    person, is_self = found.value, user_id == view.caller_id
    return view.show(
        "member.html",
        person.name or person.email,
        person=person,
        version=found.version,
        is_self=is_self,
        may_read_trail=view.role.can_manage_users,
        roles=list(Role) if view.role.can_change_roles and not is_self else [],
        may_be_offered=view.role is Role.OWNER and not is_self and person.role != Role.OWNER,
        may_remove=not is_self and policy.can_remove(view.role, Role(person.role)),
    )


@Page("POST", "/members/{user_id}/role", opens=TRANSACTION, body=RoleForm, again=member)
async def change_role(view: View[RoleForm]) -> Answer:
    changed = await view.accounts.members.change_role(
        view.session,
        view.tenant_id,
        view.caller_id,
        view.path["user_id"],
        view.body.role,
        expected_version=view.body.version,
    )
    return view.go(
        view.path_of("members", changed.user_id),
        f"{changed.name or changed.email} now has the role {changed.role}.",
    )


@Page("GET", "/members/{user_id}/remove")
async def ask_to_remove(view: View) -> Answer:
    user_id = view.path["user_id"]
    found = await view.accounts.members.get_user(view.session, view.tenant_id, user_id)
    if found is None:
        raise NotFoundError("There is no such member. The person may have left, or was removed already.")
    name = found.value.name or found.value.email
    return view.confirm(
        f"Remove {name}?",
        f"{name} loses access at once. To come back, {name} needs a new invitation.",
        action=view.path_of("members", user_id, "remove"),
        label="Remove member",
        back=view.path_of("members", user_id),
    )


@Page("POST", "/members/{user_id}/remove", opens=TRANSACTION, again=member)
async def remove_member(view: View) -> Answer:
    await view.accounts.members.remove(view.session, view.tenant_id, view.caller_id, view.path["user_id"])
    return view.go(view.path_of("members"), "The member was removed.")


@Page("GET", "/leave")
async def ask_to_leave(view: View) -> Answer:
    name = view.frame.tenant_name if view.frame else ""
    return view.confirm(
        f"Leave {name}?",
        f"You lose access to {name} at once. To come back, you need a new invitation.",
        action=view.path_of("leave"),
        label="Leave project",
        back=view.path_of("members", view.caller_id),
    )


@Page("POST", "/leave", opens=TRANSACTION, again=ask_to_leave)
async def leave(view: View) -> Answer:
    await view.accounts.members.leave(view.session, view.tenant_id, view.caller_id)
    return view.go("/", "You have left the project.")


MEMBERS: list[AnyPage] = [
    members,
    search_members,
    member,
    change_role,
    ask_to_remove,
    remove_member,
    ask_to_leave,
    leave,
]
