"""The pages of a tenant's SCIM client: its tokens, and the roles that its groups give."""

import re
from collections.abc import AsyncGenerator

import pytest
from support.console import SCIM
from support.pages import Pages, serving_pages
from support.world import Team


@pytest.fixture
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages"), **SCIM) as served:
        yield served


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team()


async def test_a_token_is_shown_once_and_revoked(pages: Pages, team: Team) -> None:
    place, owner = f"/projects/{team.tenant_id}/scim", pages.browser(team.owner)
    assert "No token yet" in (await owner.open(place)).text
    await owner.open(f"{place}/tokens/new")
    form = {"name": "Directory", "expires_in_days": "366"}
    assert "ust be 1 to 365" in (await owner.send(f"{place}/tokens", form)).text
    made = await owner.send(f"{place}/tokens", form | {"expires_in_days": "30"})
    [token] = re.findall(r"hoc_scim_[\w.-]+", made.text)
    assert made.headers["cache-control"] == "no-store"
    async with pages.reading() as session:
        caller = await pages.engines.scim_tokens.authenticate(session, token)
    assert caller is not None
    listed = (await owner.open(place)).text
    assert ("Active" in listed, "Never" in listed, token in listed) == (True, True, False)
    revoke = f"{place}/tokens/{caller.token_id}/revoke"
    assert "Revoke this token?" in (await owner.open(revoke)).text
    assert "is revoked" in (await owner.send(revoke)).text
    async with pages.reading() as session:
        assert await pages.engines.scim_tokens.authenticate(session, token) is None


async def test_a_group_is_given_a_role_and_loses_it(pages: Pages, team: Team) -> None:
    place, owner = f"/projects/{team.tenant_id}/scim", pages.browser(team.owner)
    await owner.open(place)
    form = {"group": "<Leads>", "role": "admin"}
    given = await owner.send(f"{place}/group-roles", form)
    assert "&lt;Leads&gt; gives the role admin." in given.text
    assert "ust not be owner" in (await owner.send(f"{place}/group-roles", form | {"role": "owner"})).text
    removed = await owner.send(f"{place}/group-roles/remove", {"group": "<LEADS>"})
    assert "gives no role any more" in removed.text
    async with pages.reading() as session:
        assert await pages.engines.scim_group_roles.roles_by_group(session, team.tenant_id) == {}


async def test_only_owners_have_the_page_of_scim(pages: Pages, team: Team) -> None:
    admin = pages.browser(team.admin)
    assert ">SCIM<" not in (await admin.open(f"/projects/{team.tenant_id}/members")).text
    assert (await admin.open(f"/projects/{team.tenant_id}/scim")).status_code == 403


async def test_without_scim_there_is_no_such_page(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages")) as served:
        team = await served.team()
        owner = served.browser(team.owner)
        assert ">SCIM<" not in (await owner.open(f"/projects/{team.tenant_id}/members")).text
        assert (await owner.open(f"/projects/{team.tenant_id}/scim")).status_code == 404
