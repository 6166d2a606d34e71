"""Projects, and the caller's memberships across tenants."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import CreateProject, PageQuery, StatusQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.members import Members
from hoc.cus.account.L5_engines.projects import Projects
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.results import MembershipsListResult, ProjectDetailResult, ProjectsListResult


class ProjectRoutes:
    def __init__(self, projects: Projects, members: Members) -> None:
        self._projects = projects
        self._members = members

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/projects",
                self.list_projects,
                "List the tenant's projects",
                ProjectsListResult,
                query=StatusQuery,
            ),
            Operation(
                "POST",
                "/projects",
                self.create_project,
                "Create a project, which is a new tenant with the caller as its owner",
                ProjectDetailResult,
                status=201,
                body=CreateProject,
                errors=(409,),
                idempotent=True,
            ),
            Operation(
                "GET",
                "/projects/{project_id}",
                self.get_project,
                "Read a project with its quotas and usage",
                ProjectDetailResult,
                errors=(404,),
                versioned=True,
            ),
            Operation(
                "GET",
                "/memberships",
                self.list_memberships,
                "List the tenants the caller belongs to",
                MembershipsListResult,
                query=PageQuery,
            ),
        ]

    async def list_projects(self, call: Call) -> Response:
        member = await call.member()
        return await call.page(StatusQuery, self._projects.list, member.tenant_id)

    async def create_project(self, call: Call) -> Response:
        caller = call.caller
        body = await call.body(CreateProject)

        async def create(session: Session) -> ProjectDetailResult:
            # Without its version: a repeated call gets the stored body alone.
            return (await self._projects.create(session, caller.user_id, **body.model_dump())).value

        return await call.write(create, status=201, idempotent_in="")

    async def get_project(self, call: Call) -> Response:
        member = await call.member()
        project_id = call.path("project_id")
        found = await call.read(lambda session: self._projects.get(session, member.tenant_id, project_id))
        if found is None:
            raise NotFoundError("There is no such project.")
        return answer(found)

    async def list_memberships(self, call: Call) -> Response:
        caller = call.caller
        return await call.page(PageQuery, self._members.list_memberships, caller.user_id)
