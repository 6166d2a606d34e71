"""Every operation of both services: its request, and the answer to each kind of caller."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import insert
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers
from support.roles import ROLES
from support.webhooks import URL as WEBHOOK_URL
from support.world import NOBODY, Team

from hoc.cus.account.L2_api.console import CONSOLE_OPERATIONS
from hoc.cus.account.L2_api.deployment_webhooks import DEPLOYMENT_WEBHOOKS
from hoc.cus.account.L2_api.feed import FEED_OPERATIONS
from hoc.cus.account.L2_api.identity import IDENTITY_OPERATIONS
from hoc.cus.account.L2_api.operations import AnyOperation
from hoc.cus.account.L2_api.subject_rights import SUBJECT_RIGHTS_OPERATIONS
from hoc.cus.account.L2_api.support_desk import SUPPORT_DESK_OPERATIONS
from hoc.cus.account.L2_api.tenants import TENANT_OPERATIONS
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest
from hoc.cus.account.L6_drivers.tables import webhook_attempts

Values: TypeAlias = dict[str, str]
Preparation: TypeAlias = Callable[[Console, Team], Awaitable[Values]]

SERVICES: dict[str, list[AnyOperation]] = {
    MOUNT: CONSOLE_OPERATIONS,
    IDENTITY_MOUNT: [
        *IDENTITY_OPERATIONS,
        *TENANT_OPERATIONS,
        *SUBJECT_RIGHTS_OPERATIONS,
        *SUPPORT_DESK_OPERATIONS,
        *FEED_OPERATIONS,
        *DEPLOYMENT_WEBHOOKS,
    ],
}
OPERATIONS = {
    f"{operation.method} {mount}{operation.path}": operation
    for mount, operations in SERVICES.items()
    for operation in operations
}
CALLERS = {
    MOUNT: (*ROLES, "ex-member", "outsider", "no tenant", "anonymous"),
    IDENTITY_MOUNT: ("read", "write", "all", "own", "other", "anonymous"),
}
# Values for a request that need not find anything.
EXAMPLES = {
    "project_id": "ten_1",
    "tenant_id": "ten_1",
    "user_id": "usr_1",
    "invitation_id": "inv_1",
    "ticket_id": "tkt_1",
    "token": "ten_1.secret",
    "email": "ada@example.com",
    "domain": "example.org",
    "token_id": "sct_1",
    "group": "Engineers",
    "endpoint_id": "wh_1",
    "event_id": "0199f3a2-7d64-7c1a-9e1f-3a1f6a1f6a1f",
    "subject": "ada",
}


async def nothing(_console: Console, _team: Team) -> Values:
    return {}


@dataclass(frozen=True, slots=True)
class Route:
    """``answers`` are the statuses for `CALLERS`, in that order.

    ``prepare`` makes what the request needs; its values replace ``{name}`` in path, query and body. One of
    them may be ``caller``, a user who may do it where the owner may not.
    """

    label: str
    answers: str
    body: dict[str, Any] | None = None
    prepare: Preparation = nothing
    query: Values = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return self.label

    @property
    def method(self) -> str:
        return self.label.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.label.partition(" ")[2]

    @property
    def operation(self) -> AnyOperation:
        return OPERATIONS[self.label]

    @property
    def mount(self) -> str:
        return MOUNT if self.path.startswith(f"{MOUNT}/") else IDENTITY_MOUNT

    def url(self, values: Values = EXAMPLES) -> str:
        return HOST + self.path.format(**values)

    def filled(self, values: Values = EXAMPLES) -> dict[str, Any]:
        """The body with its values."""
        return {
            name: given.format(**values) if isinstance(given, str) else given
            for name, given in (self.body or {}).items()
        }

    def request(self, values: Values = EXAMPLES, **instead: Any) -> dict[str, Any]:
        """The arguments for a client's ``request`` or ``build_request``."""
        return {
            "method": self.method,
            "url": self.url(values),
            "params": {name: given.format(**values) for name, given in self.query.items()} or None,
            "json": None if self.body is None else self.filled(values),
            **instead,
        }

    def allowed(self, console: Console, team: Team, values: Values) -> Headers:
        """The headers of a caller who may do it."""
        if self.answers.endswith("200"):
            return {}
        return console.as_(values.get("caller", team.owner), team.tenant_id, "accounts:admin")


async def own_project(_console: Console, team: Team) -> Values:
    return {"project_id": team.tenant_id}


async def tenant(console: Console, _team: Team) -> Values:
    return {"tenant_id": (await console.tenant())[0]}


async def ended_tenant(console: Console, team: Team) -> Values:
    values = await tenant(console, team)
    await console.suspend(values["tenant_id"], "terminated")
    return values


async def address(console: Console, _team: Team) -> Values:
    return {"email": console.new_email()}


async def member(console: Console, team: Team) -> Values:
    return {"user_id": await console.join(team.tenant_id, team.owner)}


async def invitation(console: Console, team: Team) -> Values:
    invitation_id, token = await console.invite(team.tenant_id, team.owner)
    return {"invitation_id": invitation_id, "token": token}


async def invitation_to_account(console: Console, team: Team) -> Values:
    email = console.new_email()
    invited = await console.add_user(email)
    invitation_id, token = await console.invite(team.tenant_id, team.owner, email)
    return {
        "tenant_id": team.tenant_id,
        "invitation_id": invitation_id,
        "token": token,
        "caller": invited,
    }


async def ticket(console: Console, team: Team) -> Values:
    async with console.transaction() as session:
        opened = await console.facade.create_support_ticket(
            session, team.tenant_id, team.member, subject="Help", description="Please."
        )
    return {"tenant_id": team.tenant_id, "ticket_id": opened.id}


async def resolved_ticket(console: Console, team: Team) -> Values:
    values = await ticket(console, team)
    async with console.transaction() as session:
        await console.facade.support.resolve(
            session, values["tenant_id"], values["ticket_id"], "staff", as_support=True
        )
    return values


async def new_domain(console: Console, _team: Team) -> Values:
    return {"domain": f"{console.new_id().replace('_', '-')}.example.org"}


async def domain(console: Console, team: Team) -> Values:
    values = await new_domain(console, team)
    async with console.transaction() as session:
        await console.facade.domains.claim(session, team.tenant_id, team.owner, values["domain"])
    return values


async def scim_token(console: Console, team: Team) -> Values:
    async with console.transaction() as session:
        made = await console.facade.scim_tokens.create(session, team.tenant_id, team.owner, name="Directory")
    return {"token_id": made.id}


async def group_role(console: Console, team: Team) -> Values:
    async with console.transaction() as session:
        await console.facade.scim_group_roles.set(
            session, team.tenant_id, team.owner, "Engineers", role="admin"
        )
    return {"group": "Engineers"}


async def joinable(console: Console, team: Team) -> Values:
    """An account that may ask to join the team's tenant."""
    values = await domain(console, team)
    name, domains = values["domain"], console.facade.domains
    async with console.transaction() as session:
        await console.facade.domain_checks.record(session, team.tenant_id, name, "found")
        await domains.update(session, team.tenant_id, team.owner, name, joining="ask")
    person = await console.add_user(f"ada@{name}")
    return {"tenant_id": team.tenant_id, "user_id": person, "caller": person}


async def join_request(console: Console, team: Team) -> Values:
    user_id = (await joinable(console, team))["user_id"]
    async with console.transaction() as session:
        await console.facade.joining.join(session, user_id, team.tenant_id)
    return {"user_id": user_id}


NEW_WEBHOOK = {"url": WEBHOOK_URL, "event_types": ["member.joined"], "description": "Ours"}
WEBHOOK_CHANGE = {**NEW_WEBHOOK, "event_types": None, "enabled": False, "from_now": False}


async def webhook(console: Console, team: Team) -> Values:
    async with console.transaction() as session:
        made = await console.facade.webhooks.create(session, team.tenant_id, team.owner, url=WEBHOOK_URL)
    return {"endpoint_id": made.endpoint_id}


async def deployment_webhook(console: Console, _team: Team) -> Values:
    async with console.transaction() as session:
        made = await console.facade.webhooks.create(session, None, "operator", url=WEBHOOK_URL)
    return {"endpoint_id": made.endpoint_id}


async def attempted(console: Console, team: Team, *, of_deployment: bool = False) -> Values:
    """An endpoint with an attempt to deliver an event."""
    values = await (deployment_webhook if of_deployment else webhook)(console, team)
    event_id = console.new_id()
    async with console.transaction() as session:
        attempt = {
            "tenant_id": "" if of_deployment else team.tenant_id,
            **values,
            "attempt_id": event_id,
            "event_id": event_id,
            "event_type": "tenant.updated",
            "sequence": 1,
            "latency_ms": 1,
        }
        await session.execute(insert(webhook_attempts).values(attempt))
    return {**values, "event_id": event_id}


async def attempted_of_deployment(console: Console, team: Team) -> Values:
    return await attempted(console, team, of_deployment=True)


async def no_offer(console: Console, team: Team) -> Values:
    headers = console.as_(team.owner, team.tenant_id)
    await console.client.delete("/tenant/ownership-transfer", headers=headers)
    return await member(console, team)


async def offer(console: Console, team: Team) -> Values:
    await offer_to(console, team)
    return {}


async def offer_to(console: Console, team: Team) -> Values:
    recipient = (await no_offer(console, team))["user_id"]
    async with console.transaction() as session:
        await console.facade.ownership.start(session, team.tenant_id, team.owner, recipient)
    return {"caller": recipient}


async def new_account(console: Console, _team: Team) -> Values:
    return {"user_id": console.new_id(), "email": console.new_email()}


async def account(console: Console, _team: Team) -> Values:
    email = console.new_email()
    return {"user_id": await console.add_user(email), "email": email}


async def email_change(console: Console, team: Team) -> Values:
    values = await account(console, team)
    change = AccountUpdateRequest(email=console.new_email())
    await console.served.identity_service.update_own_profile(values["user_id"], change)
    return values | {"token": await console.draw_email_token(values["user_id"]) or ""}


async def linked(console: Console, team: Team) -> Values:
    values = await account(console, team)
    subject = f"dept/{console.new_id()} 1"
    await console.served.identity_service.link_identity(
        values["user_id"], subject, issuer="https://other.example"
    )
    return values | {"subject": subject}


def _table(*routes: Route) -> dict[str, Route]:
    return {route.label: route for route in routes}


READ = "200 200 200 200 403 403 403 401"
MANAGE = "200 200 403 403 403 403 403 401"
ANSWER = "200 200 200 403 403 403 403 401"
ADMIN = "403 403 200 403 403 401"
ACCOUNTS = "/api/v1/accounts"
TICKET = "/api/v1/tenants/{tenant_id}/tickets/{ticket_id}"

ROUTES = _table(
    #                                            owner adm mem vie  ex out none anon
    Route("GET /accounts/projects", READ),
    Route(
        "POST /accounts/projects",
        "201 201 201 201 201 201 201 401",
        {"name": "Mine", "slug": None, "description": None},
    ),
    Route("GET /accounts/projects/{project_id}", READ, prepare=own_project),
    Route(
        "PUT /accounts/projects/{project_id}",
        MANAGE,
        {"name": "Renamed", "slug": None, "description": None, "metadata": {"a": 1},
         "invitations_only_to_domains": None},
        own_project,
    ),
    Route("GET /accounts/memberships", "200 200 200 200 200 200 200 401"),
    Route("GET /accounts/users", READ),
    Route("GET /accounts/tenant/users", READ),
    Route("GET /accounts/users/{user_id}", READ, prepare=member),
    Route("PUT /accounts/users/{user_id}", MANAGE, {"metadata": {"a": 1}}, member),
    Route(
        "PUT /accounts/users/{user_id}/role",
        "200 403 403 403 403 403 403 401",
        {"role": "viewer"},
        member,
    ),
    Route("DELETE /accounts/users/{user_id}", MANAGE, prepare=member),
    Route("POST /accounts/tenant/leave", READ),
    Route(
        "POST /accounts/users/invite",
        "201 201 403 403 403 403 403 401",
        {"email": "{email}", "role": "member", "expires_in_days": 7},
        address,
    ),
    Route(
        "POST /accounts/users/invite/batch",
        "200 200 403 403 403 403 403 401",
        {"invitations": [{"email": "{email}", "role": "member", "expires_in_days": 7}]},
        address,
    ),
    Route("GET /accounts/invitations", MANAGE),
    Route("GET /accounts/invitations/{invitation_id}", MANAGE, prepare=invitation),
    # The token is for an address without an account, so that nobody who is signed in may use it.
    Route(
        "POST /accounts/invitations/{invitation_id}/accept",
        "403 403 403 403 403 403 403 200",
        {"token": "{token}"},
        invitation,
    ),
    Route(
        "POST /accounts/invitations/{invitation_id}/resend", MANAGE, {"expires_in_days": 7}, invitation
    ),
    Route("DELETE /accounts/invitations/{invitation_id}", MANAGE, prepare=invitation),
    Route("POST /accounts/invitations/{invitation_id}/link", MANAGE, prepare=invitation),
    Route("GET /accounts/received-invitations", "200 200 200 200 200 200 200 401"),
    Route(
        "POST /accounts/invitations/{invitation_id}/preview",
        "200 200 200 200 200 200 200 401",
        {"token": "{token}"},
        invitation,
    ),
    # The invitation is to somebody else: none of these may decline it, though they have its token.
    Route(
        "POST /accounts/invitations/{invitation_id}/decline",
        "403 403 403 403 403 403 403 401",
        {"token": "{token}"},
        invitation_to_account,
    ),
    *(
        Route(
            f"POST /accounts/received-invitations/{{tenant_id}}/{{invitation_id}}/{decide}",
            "404 404 404 404 404 404 404 401",
            prepare=invitation_to_account,
        )
        for decide in ("accept", "decline")
    ),
    Route("GET /accounts/domains", MANAGE),
    Route(
        "POST /accounts/domains", "201 403 403 403 403 403 403 401", {"domain": "{domain}"}, new_domain
    ),
    Route("GET /accounts/domains/{domain}", MANAGE, prepare=domain),
    Route(
        "PUT /accounts/domains/{domain}",
        "200 403 403 403 403 403 403 401",
        {"joining": "ask", "join_role": "viewer"},
        domain,
    ),
    Route("DELETE /accounts/domains/{domain}", "200 403 403 403 403 403 403 401", prepare=domain),
    Route(
        "POST /accounts/domains/{domain}/check", "202 202 403 403 403 403 403 401", prepare=domain
    ),
    Route("GET /accounts/join-requests", MANAGE),
    Route(
        "POST /accounts/join-requests/{user_id}/grant", MANAGE, {"role": "viewer"}, join_request
    ),
    Route("POST /accounts/join-requests/{user_id}/refuse", MANAGE, prepare=join_request),
    Route("GET /accounts/joinable-tenants", "200 200 200 200 200 200 200 401"),
    # None of these has an address in the tenant's domain.
    Route(
        "POST /accounts/tenants/{tenant_id}/join", "404 404 404 404 404 404 404 401", prepare=joinable
    ),
    Route("GET /accounts/scim/tokens", "200 403 403 403 403 403 403 401"),
    Route(
        "POST /accounts/scim/tokens",
        "201 403 403 403 403 403 403 401",
        {"name": "Directory", "expires_in_days": 30},
    ),
    Route("GET /accounts/scim/tokens/{token_id}", "200 403 403 403 403 403 403 401", prepare=scim_token),
    Route("DELETE /accounts/scim/tokens/{token_id}", "200 403 403 403 403 403 403 401", prepare=scim_token),
    Route("GET /accounts/scim/group-roles", "200 403 403 403 403 403 403 401"),
    Route(
        "PUT /accounts/scim/group-roles",
        "200 403 403 403 403 403 403 401",
        {"group": "Engineers", "role": "member"},
    ),
    Route("DELETE /accounts/scim/group-roles/{group}", "200 403 403 403 403 403 403 401", prepare=group_role),
    Route(
        "POST /accounts/tenant/ownership-transfer",
        "201 403 403 403 403 403 403 401",
        {"to_user_id": "{user_id}"},
        no_offer,
    ),
    # The offer is to another member: none of these may accept it, and only owners and admins see it.
    Route("GET /accounts/tenant/ownership-transfer", "200 200 404 404 403 403 403 401", prepare=offer),
    Route(
        "POST /accounts/tenant/ownership-transfer/accept",
        "404 404 404 404 404 404 403 401",
        prepare=offer_to,
    ),
    Route("DELETE /accounts/tenant/ownership-transfer", "200 404 404 404 403 403 403 401", prepare=offer),
    Route("GET /accounts/profile", READ),
    Route(
        "PUT /accounts/profile",
        "200 200 200 200 200 200 200 401",
        {
            "display_name": "Me",
            "timezone": "Europe/Berlin",
            "locale": "de",
            "avatar_url": "https://example.com/me.png",
            "preferences": {"theme": "dark"},
        },
    ),
    Route("GET /accounts/billing", READ),
    Route("GET /accounts/billing/invoices", READ),
    Route("GET /accounts/billing/usage", READ, query={"from": "2026-03-01", "to": "2026-03-31"}),
    Route("GET /accounts/support", READ),
    Route(
        "POST /accounts/support/tickets",
        "201 201 201 201 403 403 403 401",
        {"subject": "Help", "description": "Please.", "category": "general", "priority": "low"},
    ),
    Route("GET /accounts/support/tickets", READ),
    # A member's ticket: the viewer has another's, which they read and do not answer.
    Route("GET /accounts/support/tickets/{ticket_id}", READ, prepare=ticket),
    Route("GET /accounts/support/tickets/{ticket_id}/replies", READ, prepare=ticket),
    Route(
        "POST /accounts/support/tickets/{ticket_id}/replies",
        "201 201 201 403 403 403 403 401",
        {"text": "Still broken."},
        ticket,
    ),
    Route(
        "POST /accounts/support/tickets/{ticket_id}/resolve",
        ANSWER,
        {"resolution": None},
        ticket,
    ),
    Route("POST /accounts/support/tickets/{ticket_id}/reopen", ANSWER, prepare=resolved_ticket),
    Route("GET /accounts/audit", MANAGE),
    Route("GET /accounts/webhooks", MANAGE),
    Route(
        "POST /accounts/webhooks", "201 201 403 403 403 403 403 401", NEW_WEBHOOK
    ),
    Route("GET /accounts/webhooks/{endpoint_id}", MANAGE, prepare=webhook),
    Route(
        "PUT /accounts/webhooks/{endpoint_id}",
        MANAGE,
        WEBHOOK_CHANGE,
        webhook,
    ),
    Route("DELETE /accounts/webhooks/{endpoint_id}", MANAGE, prepare=webhook),
    Route("POST /accounts/webhooks/{endpoint_id}/secret", MANAGE, {"overlap_hours": 1}, webhook),
    Route("GET /accounts/webhooks/{endpoint_id}/attempts", MANAGE, prepare=attempted),
    Route("GET /accounts/webhooks/{endpoint_id}/set-aside", MANAGE, prepare=webhook),
    Route(
        "POST /accounts/webhooks/{endpoint_id}/events/{event_id}/send",
        "202 202 403 403 403 403 403 401",
        prepare=attempted,
    ),
    Route("POST /accounts/webhooks/{endpoint_id}/test", "202 202 403 403 403 403 403 401", prepare=webhook),
    #                                           read wri all own oth anon
    Route(
        f"POST {ACCOUNTS}/ensure",
        "403 201 201 403 403 401",
        {
            "user_id": "{user_id}",
            "email": "{email}",
            "name": "Ada",
            "email_verified": True,
            "issuer": None,
        },
        new_account,
    ),
    Route(f"GET {ACCOUNTS}/profile/{{user_id}}", "200 403 200 200 403 401", prepare=account),
    Route(
        f"PUT {ACCOUNTS}/profile/{{user_id}}",
        "403 200 200 200 403 401",
        {"name": "Ada", "email": None, "email_verified": None},
        account,
    ),
    Route(f"DELETE {ACCOUNTS}/profile/{{user_id}}", "403 403 200 403 403 401", prepare=account),
    Route(
        f"PUT {ACCOUNTS}/preferences/{{user_id}}", "403 200 200 200 403 401", {"theme": "dark"}, account
    ),
    Route(f"GET {ACCOUNTS}", "403 403 200 403 403 401"),
    Route(
        f"GET {ACCOUNTS}/search", "200 403 200 403 403 401", prepare=account, query={"query": "{email}"}
    ),
    Route(f"GET {ACCOUNTS}/by-email/{{email}}", "200 403 200 403 403 401", prepare=account),
    Route(
        f"PUT {ACCOUNTS}/status/{{user_id}}",
        "403 403 200 403 403 401",
        {"is_active": False, "reason": None},
        account,
    ),
    Route(f"GET {ACCOUNTS}/stats", "403 403 200 403 403 401"),
    Route(
        f"GET {ACCOUNTS}/profile/{{user_id}}/email-change", "200 403 200 200 403 401", prepare=email_change
    ),
    # Never the owner: the link proves the mailbox.
    Route(
        f"POST {ACCOUNTS}/profile/{{user_id}}/email-change/link",
        "403 200 200 403 403 401",
        prepare=email_change,
    ),
    Route(
        f"DELETE {ACCOUNTS}/profile/{{user_id}}/email-change", "403 200 200 200 403 401", prepare=email_change
    ),
    Route(
        f"POST {ACCOUNTS}/email-changes/confirm",
        "200 200 200 200 200 200",
        {"token": "{token}"},
        email_change,
    ),
    Route(f"GET {ACCOUNTS}/profile/{{user_id}}/identities", "200 403 200 200 403 401", prepare=linked),
    # The owner of an account needs a token of the identity.
    Route(
        f"POST {ACCOUNTS}/profile/{{user_id}}/identities",
        "403 403 200 403 403 401",
        {"subject": "{subject} 2", "issuer": "https://other.example", "token": None},
        linked,
    ),
    Route(
        f"DELETE {ACCOUNTS}/profile/{{user_id}}/identities",
        "403 403 200 200 403 401",
        prepare=linked,
        query={"subject": "{subject}", "issuer": "https://other.example"},
    ),
    Route(
        f"POST {ACCOUNTS}/profile/{{user_id}}/sign-ins",
        "403 200 200 403 403 401",
        {"provider": "google"},
        account,
    ),
    Route("GET /api/v1/registrations", ADMIN),
    Route("GET /api/v1/tenants", ADMIN),
    Route("GET /api/v1/tenants/{tenant_id}", "403 403 200 403 403 401", prepare=tenant),
    Route(
        "PUT /api/v1/tenants/{tenant_id}/status",
        "403 403 200 403 403 401",
        {"status": "suspended"},
        tenant,
    ),
    Route("GET /api/v1/tenants/{tenant_id}/users", ADMIN, prepare=tenant),
    Route(f"GET {ACCOUNTS}/profile/{{user_id}}/export", ADMIN, prepare=account),
    Route(f"POST {ACCOUNTS}/profile/{{user_id}}/erasure", ADMIN, prepare=account),
    Route("GET /api/v1/tenants/{tenant_id}/export", ADMIN, prepare=tenant),
    Route("POST /api/v1/tenants/{tenant_id}/erasure", ADMIN, prepare=ended_tenant),
    Route("GET /api/v1/tickets", ADMIN),
    Route("GET /api/v1/tenants/{tenant_id}/tickets", ADMIN, prepare=ticket),
    Route(f"GET {TICKET}", ADMIN, prepare=ticket),
    Route(f"GET {TICKET}/replies", ADMIN, prepare=ticket),
    Route(f"POST {TICKET}/replies", "403 403 201 403 403 401", {"text": "We are on it."}, ticket),
    Route(f"POST {TICKET}/resolve", ADMIN, {"resolution": "Restarted."}, ticket),
    Route(f"POST {TICKET}/reopen", ADMIN, prepare=resolved_ticket),
    Route("GET /api/v1/events", "403 403 200 403 403 401"),
    Route("GET /api/v1/webhooks", ADMIN),
    Route(
        "POST /api/v1/webhooks", "403 403 201 403 403 401", NEW_WEBHOOK
    ),
    Route("GET /api/v1/webhooks/{endpoint_id}", ADMIN, prepare=deployment_webhook),
    Route(
        "PUT /api/v1/webhooks/{endpoint_id}",
        ADMIN,
        WEBHOOK_CHANGE,
        deployment_webhook,
    ),
    Route("DELETE /api/v1/webhooks/{endpoint_id}", ADMIN, prepare=deployment_webhook),
    Route("POST /api/v1/webhooks/{endpoint_id}/secret", ADMIN, {"overlap_hours": 1}, deployment_webhook),
    Route("GET /api/v1/webhooks/{endpoint_id}/attempts", ADMIN, prepare=attempted_of_deployment),
    Route("GET /api/v1/webhooks/{endpoint_id}/set-aside", ADMIN, prepare=deployment_webhook),
    Route(
        "POST /api/v1/webhooks/{endpoint_id}/events/{event_id}/send",
        "403 403 202 403 403 401",
        prepare=attempted_of_deployment,
    ),
    Route("POST /api/v1/webhooks/{endpoint_id}/test", "403 403 202 403 403 401", prepare=deployment_webhook),
)  # fmt: skip

WITH_BODY = [route for route in ROUTES.values() if route.body is not None]
WITH_ID = [route for route in ROUTES.values() if "{" in route.path]
PAGES = [route for route in ROUTES.values() if route.operation.is_page]


async def callers_of(console: Console, team: Team) -> Callable[[str, Values], Headers]:
    """Returns a function of a caller's name and the prepared values that gives the caller's headers."""
    former = await console.join(team.tenant_id, team.owner)
    async with console.transaction() as session:
        await console.facade.members.remove(session, team.tenant_id, team.owner, former)
    _, outsider = await console.tenant()
    people = {"ex-member": former, "outsider": outsider}

    def headers(caller: str, values: Values) -> Headers:
        match caller:
            case "anonymous":
                return {}
            case "no tenant":
                return console.as_(team.member)
            case "read" | "write" | "all":
                return console.scoped(f"accounts:{'admin' if caller == 'all' else caller}")
            case "own":
                return console.as_(values.get("user_id", NOBODY))
            case "other":
                return console.as_(NOBODY)
            case _:
                return console.as_(people.get(caller) or getattr(team, caller), team.tenant_id)

    return headers
