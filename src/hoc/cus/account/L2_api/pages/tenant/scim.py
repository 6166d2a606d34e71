"""The SCIM client of a tenant: its tokens, each shown once, and the roles that its groups give."""

from hoc.cus.account.L2_api.bodies import Body, CreateScimToken, PageQuery, SetScimGroupRole
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_engines.paging import MAX_LIMIT
from hoc.cus.account.L5_schemas.values import Role

GIVEN_ROLES = [role for role in Role if role is not Role.OWNER]


class GroupForm(Body):
    group: str


def _owners(role: Role) -> bool:
    return role is Role.OWNER


@Page("GET", "/scim", query=PageQuery, nav=Nav("SCIM", "directory", _owners))
async def scim(view: View[None, PageQuery]) -> Answer:
    accounts, whose = view.accounts, (view.session, view.tenant_id, view.caller_id)
    tokens = await accounts.scim_tokens.list(*whose, **view.query.given())
    group_roles = await accounts.scim_group_roles.list(*whose, limit=MAX_LIMIT)
    return view.show(
        "scim.html",
        "SCIM",
        page=tokens.value,
        next_cursor=tokens.next_cursor,
        query=view.query,
        group_roles=group_roles.value,
        roles=GIVEN_ROLES,
    )


@Page("GET", "/scim/tokens/new")
async def new_scim_token(view: View) -> Answer:
    return view.show("scim_token_new.html", "Make a token")


@Page("POST", "/scim/tokens", opens=TRANSACTION, body=CreateScimToken, again=new_scim_token)
async def create_scim_token(view: View[CreateScimToken]) -> Answer:
    made = await view.accounts.scim_tokens.create(
        view.session, view.tenant_id, view.caller_id, **view.body.model_dump()
    )
    return view.show("scim_token_made.html", made.name, made=made)


@Page("GET", "/scim/tokens/{token_id}/revoke")
async def ask_to_revoke_scim_token(view: View) -> Answer:
    return view.confirm(
        "Revoke this token?",
        "The system that uses it can change nothing here any more, from now on. Members stay.",
        action=view.path_of("scim", "tokens", view.path["token_id"], "revoke"),
        label="Revoke token",
        back=view.path_of("scim"),
    )


@Page("POST", "/scim/tokens/{token_id}/revoke", opens=TRANSACTION, again=scim)
async def revoke_scim_token(view: View) -> Answer:
    revoked = await view.accounts.scim_tokens.revoke(
        view.session, view.tenant_id, view.caller_id, view.path["token_id"]
    )
    return view.go(view.path_of("scim"), f"The token {revoked.name} is revoked.")


@Page("POST", "/scim/group-roles", opens=TRANSACTION, body=SetScimGroupRole, again=scim)
async def set_scim_group_role(view: View[SetScimGroupRole]) -> Answer:
    given = await view.accounts.scim_group_roles.set(
        view.session, view.tenant_id, view.caller_id, view.body.group, role=view.body.role
    )
    return view.go(view.path_of("scim"), f"{given.group} gives the role {given.role}.")


@Page("POST", "/scim/group-roles/remove", opens=TRANSACTION, body=GroupForm, again=scim)
async def remove_scim_group_role(view: View[GroupForm]) -> Answer:
    removed = await view.accounts.scim_group_roles.remove(
        view.session, view.tenant_id, view.caller_id, view.body.group
    )
    return view.go(view.path_of("scim"), f"{removed.group} gives no role any more.")


SCIM: list[AnyPage] = [
    scim,
    new_scim_token,
    create_scim_token,
    ask_to_revoke_scim_token,
    revoke_scim_token,
    set_scim_group_role,
    remove_scim_group_role,
]
"""There with `Settings.scim`, as the operations are."""
