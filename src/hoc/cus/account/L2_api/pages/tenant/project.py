"""The project: its name, its quotas, the steps of setting it up."""

from typing import Annotated

from hoc.cus.account.L2_api.bodies import Body, Digits
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.values import Onboarding

STEPS = (
    (Onboarding.CREATED, "Create the project"),
    (Onboarding.IDENTITY_VERIFIED, "Verify your identity"),
    (Onboarding.API_KEY_CREATED, "Create an API key"),
    (Onboarding.SDK_CONNECTED, "Connect the SDK"),
    (Onboarding.COMPLETE, "Start the first run"),
)


class EditProject(Body):
    """The whole form: an empty description removes it."""

    name: str
    slug: str
    description: str | None = None
    version: Annotated[int, Digits]


@Page("GET", "/project", nav=Nav("Project", "project"))
async def project(view: View) -> Answer:
    found = await view.accounts.projects.get(view.session, view.tenant_id, view.tenant_id)
    if found is None:
        raise NotFoundError("There is no such project.")
    shown = found.value
    return view.show(
        "project.html",
        "Project",
        project=shown,
        version=found.version,
        may_edit=view.role.can_manage_users,
        steps=[(label, shown.onboarding_state >= step) for step, label in STEPS],
    )


@Page("POST", "/project", opens=TRANSACTION, body=EditProject, again=project)
async def edit_project(view: View[EditProject]) -> Answer:
    form = view.body
    await view.accounts.projects.update(
        view.session,
        view.tenant_id,
        view.caller_id,
        view.tenant_id,
        name=form.name,
        slug=form.slug,
        description=form.description,
        expected_version=form.version,
    )
    return view.go(view.path_of("project"), "The project was changed.")


PROJECT: list[AnyPage] = [project, edit_project]
