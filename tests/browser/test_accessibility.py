"""Every page in both schemes and at both widths: nothing that axe-core objects to, and nothing cut off."""

from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect
from starlette.routing import compile_path
from support.browsing import NARROW, SHOWN, WIDE, Visits
from support.chromium import Chromium
from support.seed import add_dead_message, add_failing_webhook
from support.world import PostgresWorld

from hoc.cus.account.L2_api.pages.app import PAGES
from hoc.cus.account.L2_api.scopes import ADMINS

RUN = "() => axe.run().then((found) => found.violations.map(({id, nodes}) => [id, nodes.map((n) => n.html)]))"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ELSEWHERE = {"/projects/{tenant_id}/ownership"}  # in a test of its own
CUT_OFF = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(("role", "pattern"), SHOWN, ids=[f"{role} {pattern}" for role, pattern in SHOWN])
async def test_a_page_is_accessible(visits: Visits, the_chromium: Chromium, role: str, pattern: str) -> None:
    await check(await visits.as_role(role, pattern), the_chromium)


async def test_the_results_of_many_invitations_are_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    team = await world.team()
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/invitations/many")
    await page.get_by_label("E-mail addresses").fill("ada@example.com\nnonsense\neve@example.com")
    await page.get_by_role("button", name="Send invitations").click()
    await expect(page.get_by_role("status")).to_have_text("2 invited, 1 not.")
    await expect(page.get_by_role("row", name="nonsense")).to_contain_text("Not invited")
    await check(page, the_chromium)


async def test_a_new_token_and_roles_by_group_are_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    tenant_id, owner = await world.tenant()
    page = await visits.as_user(owner, f"/projects/{tenant_id}/scim/tokens/new")
    await page.get_by_label("Name").fill("A directory with a long name")
    await page.get_by_role("button", name="Make token").click()
    await expect(page.get_by_text("Copy it now.")).to_be_visible()
    await check(page, the_chromium)
    await page.get_by_role("main").get_by_role("link", name="SCIM").click()
    await page.get_by_label("Group").fill("Engineers of a company with a long name")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_be_visible()
    await check(page, the_chromium)


async def test_what_became_of_webhooks_is_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    team = await world.team()
    await add_failing_webhook(world.database, team.tenant_id)
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/webhooks")
    await expect(page.get_by_role("row", name="hooks.example.com")).to_contain_text("Disabled")
    await check(page, the_chromium)
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/webhooks/wh_failing")
    await expect(page.get_by_role("region", name="Set aside")).to_be_visible()
    await check(page, the_chromium)
    await page.get_by_role("link", name="Rotate secret…").click()
    await page.get_by_role("button", name="Rotate secret").click()
    await expect(page.get_by_text("Copy it now")).to_be_visible()
    await check(page, the_chromium)


async def test_a_refused_form_and_a_dialog_are_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    team = await world.team()
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/invitations/new")
    await page.get_by_label("E-mail address").fill("ada@nowhere")
    await page.get_by_role("button", name="Send invitation").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await check(page, the_chromium)
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/members")
    await page.get_by_role("link", name="Invite", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check(page, the_chromium)


async def test_what_follows_an_invitation_is_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    team, email = await world.team(), world.new_email()
    await world.invite(team.tenant_id, team.owner, email)
    page = await visits.as_user(await world.add_user(email), "/received-invitations")
    await expect(page.get_by_role("button", name="Accept")).to_be_visible()
    await check(page, the_chromium)
    page = await visits.as_user(None, await visits.site.mailed_path(email))
    await page.get_by_role("button", name="Accept invitation").wait_for()
    await check(page, the_chromium)
    await page.get_by_role("button", name="Accept invitation").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("You have joined")
    await check(page, the_chromium)


async def test_an_offer_and_a_dead_letter_are_accessible(
    visits: Visits, the_chromium: Chromium, world: PostgresWorld
) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.ownership.start(session, team.tenant_id, team.owner, team.admin)
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/ownership")
    await expect(page.get_by_role("button", name="Accept ownership")).to_be_visible()
    await check(page, the_chromium)
    await add_dead_message(world.database, world.new_id())
    page = await visits.as_user(team.admin, "/admin/dead-letters", scopes=ADMINS)
    await expect(page.get_by_role("button", name="Retry all")).to_be_visible()
    await check(page, the_chromium)


def test_every_page_is_looked_at() -> None:
    ids = dict.fromkeys(
        ("owner", "admin", "member", "viewer", "ticket", "domain", "webhook", "tenant_id"), "id"
    )
    looked_at = {pattern.format(tenant="/projects/id", **ids).partition("?")[0] for _, pattern in SHOWN}
    opened = [page for page in PAGES if page.method == "GET" and page.full_path not in ELSEWHERE]
    paths = [(compile_path(page.full_path)[0], page.full_path) for page in opened]
    assert [path for known, path in paths if not any(map(known.match, looked_at))] == []


async def check(page: Page, chromium: Chromium) -> None:
    """Assert that axe-core objects to nothing, and that nothing is cut off."""
    assert await page.get_by_role("heading", level=1).count() == 1
    assert await page.get_by_role("main").count() == 1
    await page.evaluate(chromium.axe)
    for width, height in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate(CUT_OFF) <= 0, f"{width} pixels are too few"
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            found: list[Any] = await page.evaluate(RUN)
            assert found == [], f"{scheme}, {width} pixels"
