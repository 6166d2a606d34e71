"""The projects that one belongs to, and creating one."""

from hoc.cus.account.L2_api.bodies import CreateProject, PageQuery
from hoc.cus.account.L2_api.operations import CALLER, NO_SESSION, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View, path_to


@Page("GET", "/memberships", requires=CALLER, query=PageQuery, nav=Nav("Your projects", "switch"))
async def memberships(view: View[None, PageQuery]) -> Answer:
    query = view.query
    page = await view.accounts.members.list_memberships(view.session, view.caller_id, **query.given())
    return view.show(
        "memberships.html",
        "Your projects",
        page=page.value,
        next=page.next_cursor and path_to("memberships", cursor=page.next_cursor),
        first=query.cursor and path_to("memberships"),
    )


@Page("GET", "/memberships/new", requires=CALLER, opens=NO_SESSION)
async def new_project(view: View) -> Answer:
    return view.show("project_new.html", "Create a project")


@Page("POST", "/memberships", requires=CALLER, opens=TRANSACTION, body=CreateProject, again=new_project)
async def create_project(view: View[CreateProject]) -> Answer:
    created = await view.accounts.projects.create(view.session, view.caller_id, **view.body.model_dump())
    project = created.value
    return view.go(view.tenant_path(project.project_id), f"{project.name} is created, and you own it.")


MEMBERSHIPS: list[AnyPage] = [memberships, new_project, create_project]
