"""Projects, and the caller's memberships across tenants."""

from hoc.cus.account.L2_api.bodies import CreateProject, RoleQuery, StatusQuery, UpdateProject
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
    ExtendedProjectDetailResult,
    MembershipsListResult,
    ProjectsListResult,
)


@Operation("GET", "/projects", Page[ProjectsListResult], requires=MEMBER, opens=REPLICA, query=StatusQuery)
async def list_projects(accounts: AccountsFacade, call: Call[None, StatusQuery]) -> Page[ProjectsListResult]:
    """List the tenant's projects."""
    return await accounts.projects.list(call.session, call.tenant_id, **call.query.given())


@Operation(
    "POST",
    "/projects",
    ExtendedProjectDetailResult,
    opens=TRANSACTION,
    status=201,
    body=CreateProject,
    errors=(409, 429),
    idempotent=True,
)
async def create_project(accounts: AccountsFacade, call: Call[CreateProject]) -> ExtendedProjectDetailResult:
    """Create a project, which is a new tenant with the caller as its owner."""
    created = await accounts.projects.create(call.session, call.caller_id, **call.body.model_dump())
    # Without its version: a request that repeats the Idempotency-Key gets the stored body alone.
    return created.value


@Operation(
    "GET",
    "/projects/{project_id}",
    Versioned[ExtendedProjectDetailResult],
    requires=MEMBER,
    opens=READ,
    errors=(404,),
)
async def get_project(accounts: AccountsFacade, call: Call) -> Versioned[ExtendedProjectDetailResult]:
    """Read a project with its quotas and usage."""
    found = await accounts.projects.get(call.session, call.tenant_id, call.path["project_id"])
    if found is None:
        raise NotFoundError("There is no such project.")
    return found


@Operation(
    "PUT",
    "/projects/{project_id}",
    Versioned[ExtendedProjectDetailResult],
    requires=TENANT,
    opens=TRANSACTION,
    body=UpdateProject,
    errors=(404, 409),
    conditional=True,
)
async def update_project(
    accounts: AccountsFacade, call: Call[UpdateProject]
) -> Versioned[ExtendedProjectDetailResult]:
    """Change a project's name, slug, description and metadata."""
    return await accounts.projects.update(
        call.session,
        call.tenant_id,
        call.caller_id,
        call.path["project_id"],
        **call.body.model_dump(exclude_unset=True),
        expected_version=call.expected_version,
    )


@Operation("GET", "/memberships", Page[MembershipsListResult], opens=READ, query=RoleQuery)
async def list_memberships(
    accounts: AccountsFacade, call: Call[None, RoleQuery]
) -> Page[MembershipsListResult]:
    """List the tenants the caller belongs to."""
    return await accounts.members.list_memberships(call.session, call.caller_id, **call.query.given())


PROJECTS: list[AnyOperation] = [list_projects, create_project, get_project, update_project, list_memberships]
