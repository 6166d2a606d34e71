"""The pages of domains, and of the people who join by them."""

from collections.abc import AsyncGenerator

import pytest
from support.console import DOMAINS
from support.pages import Pages, serving_pages, version_in
from support.world import Team


@pytest.fixture
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages"), **DOMAINS) as served:
        yield served


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team()


async def test_a_domain_goes_from_the_claim_to_a_new_member(pages: Pages, team: Team) -> None:
    name = f"{pages.new_id().replace('_', '-')}.example.org"
    place = f"/projects/{team.tenant_id}/domains"
    owner = pages.browser(team.owner)
    await owner.open(f"{place}/new")
    refused = await owner.send(place, {"domain": "gmail.com"})
    assert "mail provider" in refused.text
    claimed = await owner.send(place, {"domain": name})
    assert f"_hoc-challenge.{name}" in claimed.text
    assert "hoc-verification=" in claimed.text
    assert "being looked up" in (await owner.send(f"{place}/{name}/check")).text
    async with pages.transaction() as session:
        await pages.engines.domain_checks.record(session, team.tenant_id, name, "found")
    shown = await owner.open(f"{place}/{name}")
    assert "Verified" in shown.text
    form = {"version": version_in(shown.text), "joining": "ask", "join_role": "viewer"}
    assert "saved" in (await owner.send(f"{place}/{name}", form)).text
    stale = await owner.send(f"{place}/{name}", form | {"joining": "open"})
    assert (stale.status_code, "changed this meanwhile" in stale.text) == (412, True)

    person = await pages.add_user(f"ada@{name}")
    browser = pages.browser(person)
    assert "Ask to join" in (await browser.open("/joinable-tenants")).text
    asked = await browser.send(f"/joinable-tenants/{team.tenant_id}/join")
    assert "You have asked to join" in asked.text
    admin = pages.browser(team.admin)
    assert f"ada@{name}" in (await admin.open(place)).text
    granted = await admin.send(f"/projects/{team.tenant_id}/join-requests/{person}/grant")
    assert "with the role viewer" in granted.text
    assert await pages.role_of(team.tenant_id, person) == "viewer"

    await owner.open(place)
    assert (
        "saved"
        in (await owner.send(f"/projects/{team.tenant_id}/invitable", {"only_to_domains": "yes"})).text
    )
    async with pages.reading() as session:
        project = await pages.facade.projects.get(session, team.tenant_id, team.tenant_id)
    assert project is not None
    assert project.value.invitations_only_to_domains

    assert "Claim" not in (await admin.open(place)).text
    assert "Remove" not in (await admin.open(f"{place}/{name}")).text
    await owner.open(f"{place}/{name}/remove")
    assert "No domain yet" in (await owner.send(f"{place}/{name}/remove")).text


async def test_a_refused_person_sees_that(pages: Pages, team: Team) -> None:
    name = f"{pages.new_id().replace('_', '-')}.example.org"
    domains = pages.engines.domains
    async with pages.transaction() as session:
        await domains.claim(session, team.tenant_id, team.owner, name)
        await pages.engines.domain_checks.record(session, team.tenant_id, name, "found")
        await domains.update(session, team.tenant_id, team.owner, name, joining="ask")
    person = await pages.add_user(f"ada@{name}")
    browser, admin = pages.browser(person), pages.browser(team.admin)
    await browser.open("/joinable-tenants")
    await browser.send(f"/joinable-tenants/{team.tenant_id}/join")
    await admin.open(f"/projects/{team.tenant_id}/domains")
    await admin.send(f"/projects/{team.tenant_id}/join-requests/{person}/refuse")
    assert "Refused" in (await browser.open("/joinable-tenants")).text


async def test_members_have_no_page_of_domains(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.member)
    assert ">Domains<" not in (await browser.open(f"/projects/{team.tenant_id}/members")).text
    assert (await browser.open(f"/projects/{team.tenant_id}/domains")).status_code == 403


async def test_without_domains_there_is_no_such_page(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages")) as served:
        team = await served.team()
        browser = served.browser(team.owner)
        assert ">Domains<" not in (await browser.open(f"/projects/{team.tenant_id}/members")).text
        assert (await browser.open(f"/projects/{team.tenant_id}/domains")).status_code == 404
        assert (await browser.open("/joinable-tenants")).status_code == 404
