"""Domains: claiming, proving and removing them, how people join by them, and their requests."""

from typing import Annotated, Literal

from hoc.cus.account.L2_api.bodies import Body, ChangeDomain, ClaimDomain, Digits, PageQuery
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.values import DomainJoining, Role

JOININGS = [
    (DomainJoining.CLOSED, "By invitation only"),
    (DomainJoining.ASK, "They ask, and an owner or admin decides"),
    (DomainJoining.OPEN, "At once"),
]
JOIN_ROLES = [role for role in Role if role is not Role.OWNER]


class DomainForm(ChangeDomain):
    """``version`` is that of the domain that the form showed."""

    version: Annotated[int, Digits]


class InvitableForm(Body):
    """Whether only addresses in verified domains can be invited."""

    only_to_domains: Literal["yes", "no"]


@Page("GET", "/domains", query=PageQuery, nav=Nav("Domains", "shield", managers))
async def domains(view: View[None, PageQuery]) -> Answer:
    accounts, whose = view.accounts, (view.session, view.tenant_id, view.caller_id)
    page = await accounts.domains.list(*whose, **view.query.given())
    requests = await accounts.joining.list_requests(*whose)
    project = await accounts.projects.get(view.session, view.tenant_id, view.tenant_id)
    return view.show(
        "domains.html",
        "Domains",
        page=page.value,
        next_cursor=page.next_cursor,
        query=view.query,
        requests=requests.value,
        is_owner=view.role is Role.OWNER,
        only_to_domains=project is not None and project.value.invitations_only_to_domains,
    )


@Page("POST", "/invitable", opens=TRANSACTION, body=InvitableForm, again=domains)
async def change_invitable(view: View[InvitableForm]) -> Answer:
    await view.accounts.projects.update(
        view.session,
        view.tenant_id,
        view.caller_id,
        view.tenant_id,
        invitations_only_to_domains=view.body.only_to_domains == "yes",
    )
    return view.go(view.path_of("domains"), "The change is saved.")


@Page("GET", "/domains/new")
async def new_domain(view: View) -> Answer:
    return view.show("domain_new.html", "Claim a domain")


@Page("POST", "/domains", opens=TRANSACTION, body=ClaimDomain, again=new_domain)
async def claim_domain(view: View[ClaimDomain]) -> Answer:
    claimed = await view.accounts.domains.claim(
        view.session, view.tenant_id, view.caller_id, view.body.domain
    )
    return view.go(view.path_of("domains", claimed.domain), "The domain is claimed. Create its record now.")


@Page("GET", "/domains/{domain}")
async def domain(view: View) -> Answer:
    found = await view.accounts.domains.get(view.session, view.tenant_id, view.caller_id, view.path["domain"])
    return view.show(
        "domain.html",
        found.value.domain,
        domain=found.value,
        version=found.version,
        is_owner=view.role is Role.OWNER,
        joinings=JOININGS,
        roles=JOIN_ROLES,
    )


@Page("POST", "/domains/{domain}", opens=TRANSACTION, body=DomainForm, again=domain)
async def change_domain(view: View[DomainForm]) -> Answer:
    form = view.body
    changed = await view.accounts.domains.update(
        view.session,
        view.tenant_id,
        view.caller_id,
        view.path["domain"],
        joining=form.joining,
        join_role=form.join_role,
        expected_version=form.version,
    )
    return view.go(view.path_of("domains", changed.value.domain), "The change is saved.")


@Page("POST", "/domains/{domain}/check", opens=TRANSACTION, again=domain, queues_work=True)
async def check_domain(view: View) -> Answer:
    asked = await view.accounts.domains.request_check(
        view.session, view.tenant_id, view.caller_id, view.path["domain"]
    )
    return view.go(
        view.path_of("domains", asked.domain), "The record is being looked up. Reload this page soon."
    )


@Page("GET", "/domains/{domain}/remove")
async def ask_to_remove_domain(view: View) -> Answer:
    name = view.path["domain"]
    return view.confirm(
        f"Remove {name}?",
        "Nobody joins by an address in it any more. Members stay. Another project can then prove it.",
        action=view.path_of("domains", name, "remove"),
        label="Remove domain",
        back=view.path_of("domains", name),
    )


@Page("POST", "/domains/{domain}/remove", opens=TRANSACTION, again=domain)
async def remove_domain(view: View) -> Answer:
    removed = await view.accounts.domains.remove(
        view.session, view.tenant_id, view.caller_id, view.path["domain"]
    )
    return view.go(view.path_of("domains"), f"{removed.domain} is removed.")


@Page("POST", "/join-requests/{user_id}/grant", opens=TRANSACTION, again=domains)
async def grant_request(view: View) -> Answer:
    granted = await view.accounts.joining.grant(
        view.session, view.tenant_id, view.caller_id, view.path["user_id"]
    )
    return view.go(view.path_of("domains"), f"The person is a member now, with the role {granted.role}.")


@Page("POST", "/join-requests/{user_id}/refuse", opens=TRANSACTION, again=domains)
async def refuse_request(view: View) -> Answer:
    await view.accounts.joining.refuse(view.session, view.tenant_id, view.caller_id, view.path["user_id"])
    return view.go(view.path_of("domains"), "The request is refused.")


DOMAINS: list[AnyPage] = [
    domains,
    change_invitable,
    new_domain,
    claim_domain,
    domain,
    change_domain,
    check_domain,
    ask_to_remove_domain,
    remove_domain,
    grant_request,
    refuse_request,
]
"""There with `Settings.domains`, as the operations are."""
