"""A tenant's e-mail domains, and joining a tenant by an address in one of them."""

from hoc.cus.account.L2_api.bodies import (
    ChangeDomain,
    ClaimDomain,
    GrantRequest,
    PageQuery,
    StatusQuery,
)
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    CALLER,
    READ,
    REPLICA,
    TENANT,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.domains import (
    DomainRemovedResult,
    DomainResult,
    DomainsListResult,
    JoinableTenantsListResult,
    JoinDecidedResult,
    JoinRequestsListResult,
    JoinResult,
)
from hoc.cus.account.L5_schemas.port_types import Page, Versioned


@Operation("GET", "/domains", Page[DomainsListResult], requires=TENANT, opens=REPLICA, query=StatusQuery)
async def list_domains(accounts: AccountsFacade, call: Call[None, StatusQuery]) -> Page[DomainsListResult]:
    """List the tenant's domains, for owners and admins."""
    return await accounts.domains.list(call.session, call.tenant_id, call.caller_id, **call.query.given())


@Operation(
    "POST",
    "/domains",
    DomainResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=ClaimDomain,
    errors=(409, 429),
    idempotent=True,
)
async def claim_domain(accounts: AccountsFacade, call: Call[ClaimDomain]) -> DomainResult:
    """Claim a domain, for owners; the answer has the record that proves it."""
    return await accounts.domains.claim(call.session, call.tenant_id, call.caller_id, call.body.domain)


@Operation("GET", "/domains/{domain}", Versioned[DomainResult], requires=TENANT, opens=READ, errors=(404,))
async def get_domain(accounts: AccountsFacade, call: Call) -> Versioned[DomainResult]:
    """Read a domain with its record, for owners and admins."""
    return await accounts.domains.get(call.session, call.tenant_id, call.caller_id, call.path["domain"])


@Operation(
    "PUT",
    "/domains/{domain}",
    Versioned[DomainResult],
    requires=TENANT,
    opens=TRANSACTION,
    body=ChangeDomain,
    errors=(404,),
    conditional=True,
)
async def update_domain(accounts: AccountsFacade, call: Call[ChangeDomain]) -> Versioned[DomainResult]:
    """Say how people with an address in a domain join, for owners."""
    return await accounts.domains.update(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["domain"],
        **call.body.model_dump(exclude_unset=True),
        expected_version=call.expected_version,
    )


@Operation(
    "DELETE",
    "/domains/{domain}",
    DomainRemovedResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404,),
    conditional=True,
)
async def remove_domain(accounts: AccountsFacade, call: Call) -> DomainRemovedResult:
    """Give up a domain, for owners."""
    return await accounts.domains.remove(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["domain"],
        expected_version=call.expected_version,
    )


@Operation(
    "POST",
    "/domains/{domain}/check",
    DomainResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=202,
    errors=(404,),
    queues_work=True,
)
async def check_domain(accounts: AccountsFacade, call: Call) -> DomainResult:
    """Have a domain's record looked up now; read the domain to see what was found."""
    return await accounts.domains.request_check(
        call.session, call.tenant_id, call.caller_id, call.path["domain"]
    )


@Operation(
    "GET",
    "/join-requests",
    Page[JoinRequestsListResult],
    requires=TENANT,
    opens=REPLICA,
    query=StatusQuery,
)
async def list_join_requests(
    accounts: AccountsFacade, call: Call[None, StatusQuery]
) -> Page[JoinRequestsListResult]:
    """List requests to join, the pending ones by default, for owners and admins."""
    return await accounts.joining.list_requests(
        call.session, call.tenant_id, call.caller_id, **call.query.given()
    )


@Operation(
    "POST",
    "/join-requests/{user_id}/grant",
    JoinDecidedResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=GrantRequest,
    body_optional=True,
    errors=(404, 409, 429),
)
async def grant_join_request(accounts: AccountsFacade, call: Call[GrantRequest]) -> JoinDecidedResult:
    """Make a member of a person who asked to join."""
    return await accounts.joining.grant(
        call.session, call.tenant_id, call.caller_id, call.path["user_id"], role=call.body.role
    )


@Operation(
    "POST",
    "/join-requests/{user_id}/refuse",
    JoinDecidedResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404,),
)
async def refuse_join_request(accounts: AccountsFacade, call: Call) -> JoinDecidedResult:
    """Refuse a person who asked to join."""
    return await accounts.joining.refuse(call.session, call.tenant_id, call.caller_id, call.path["user_id"])


@Operation(
    "GET",
    "/joinable-tenants",
    Page[JoinableTenantsListResult],
    requires=CALLER,
    opens=READ,
    query=PageQuery,
)
async def list_joinable_tenants(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[JoinableTenantsListResult]:
    """List the tenants that the caller's verified address lets them join, or ask to."""
    return await accounts.joining.list_joinable(call.session, call.caller_id, **call.query.given())


@Operation(
    "POST",
    "/tenants/{tenant_id}/join",
    JoinResult,
    requires=CALLER,
    opens=TRANSACTION,
    errors=(403, 404, 409, 429),
)
async def join_tenant(accounts: AccountsFacade, call: Call) -> JoinResult:
    """Join a tenant by the domain of the caller's verified address, or ask to."""
    return await accounts.joining.join(call.session, call.caller_id, call.path["tenant_id"])


DOMAINS: list[AnyOperation] = [
    list_domains,
    claim_domain,
    get_domain,
    update_domain,
    remove_domain,
    check_domain,
    list_join_requests,
    grant_join_request,
    refuse_join_request,
    list_joinable_tenants,
    join_tenant,
]
"""Served where `Settings.domains` is on: without checks, a domain would never be lost."""
