"""Members and invitations, as people use them."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect
from support.browsing import NARROW, Site, Visits
from support.seed import execute, scalar
from support.waiting import until
from support.world import PostgresWorld

from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L2_api.pages.development import sign_in_link


async def test_a_link_signs_in_and_its_code_leaves_the_address(visits: Visits, site: Site) -> None:
    keys = DevelopmentKeys(Path(site.directory) / "development-key.pem")
    link = sign_in_link(keys, "", site.user_id("owner"), site.tenant_id, [])
    page = await visits.as_user(None, link)
    await expect(page.get_by_role("heading", name="Members")).to_be_visible()
    assert "#" not in page.url
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_someone_is_invited_by_keyboard_alone(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Invite", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Invite")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("E-mail address")).to_be_focused()
    await page.keyboard.type("ada@example.com")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("ada@example.com is invited.")
    await expect(page.get_by_role("rowheader", name="ada@example.com")).to_be_visible()


async def test_a_member_is_removed_by_keyboard_alone(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members/{team.viewer}")
    await tab_to(page, page.get_by_role("link", name="Remove member…"))
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Remove")
    await expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("link", name="Remove member…")).to_be_focused()
    await page.keyboard.press("Enter")
    await tab_to(page, dialog.get_by_role("button", name="Remove member"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The member was removed.")


async def tab_to(page: Page, wanted: Locator) -> None:
    """Press the tab key until the element has the focus."""
    await expect(wanted).to_be_visible()
    for _ in range(40):
        if await wanted.evaluate("(element) => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    await expect(wanted).to_be_focused()


async def test_a_member_is_found_and_leaves(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    email = (await world.accounts.get_account_profile(team.viewer)).email
    page = await visits.as_user(team.viewer, f"/projects/{team.tenant_id}/members", size=NARROW)
    await page.get_by_label("Role").select_option("Viewer")
    await page.get_by_label("Name or address").fill(email[:-4].upper())
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text("1 of 1 member")).to_be_visible()
    await page.get_by_role("rowheader").get_by_role("link").click()
    await page.get_by_role("link", name="Leave project…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Leave project").click()
    await expect(page.get_by_role("status")).to_have_text("You have left the project.")


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_wrong_address_is_told_beside_its_field(
    visits: Visits, world: PostgresWorld, *, scripts: bool
) -> None:
    team = await world.team()
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/invitations/new", scripts=scripts)
    field = page.get_by_label("E-mail address")
    await field.fill("ada@nowhere")
    await page.get_by_role("button", name="Send invitation").click()
    await expect(page.get_by_role("alert")).to_contain_text("Correct the marked fields")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_value("ada@nowhere")
    assert "ada" not in page.url


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_invitation_is_sent_again_and_revoked(
    visits: Visits, world: PostgresWorld, *, scripts: bool
) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.invitations.invite(session, team.tenant_id, team.owner, email="ada@example.com")
    page = await visits.as_user(
        team.owner, f"/projects/{team.tenant_id}/invitations", scripts=scripts, size=NARROW
    )
    await page.get_by_role("button", name="Resend").click()
    await expect(page.get_by_role("status")).to_contain_text("A new link is on its way to ada@example.com.")
    await page.get_by_role("link", name="Revoke…").click()
    await page.get_by_role("button", name="Revoke invitation").click()
    await expect(page.get_by_role("status")).to_contain_text("is revoked.")


async def test_a_mail_on_its_way_is_shown_until_it_has_left(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    delivery = "UPDATE account.invitations SET delivery = :state WHERE tenant_id = :tenant_id"
    is_sent = "SELECT bool_or(delivery = 'sent') FROM account.invitations WHERE tenant_id = :tenant_id"
    await world.invite(team.tenant_id, team.owner)
    await until(lambda: scalar(world.database, is_sent, tenant_id=team.tenant_id))
    await execute(world.database, delivery, state="queued", tenant_id=team.tenant_id)
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/invitations?status=pending")
    on_the_way = page.get_by_text("1 mail is on the way.")
    await expect(on_the_way).to_be_visible()
    await expect(page.get_by_role("table")).to_contain_text("Queued")
    await execute(world.database, delivery, state="sent", tenant_id=team.tenant_id)
    await expect(page.get_by_role("table")).to_contain_text("Sent")
    await expect(on_the_way).to_have_count(0)


async def test_a_members_role_is_changed_and_the_member_removed(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members/{team.viewer}")
    await page.get_by_label("New role").select_option("admin")
    await page.get_by_role("button", name="Change role").click()
    await expect(page.get_by_role("status")).to_contain_text("now has the role admin.")
    await page.get_by_role("link", name="Remove member…").click()
    await page.get_by_role("dialog").get_by_role("link", name="Cancel").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("link", name="Remove member…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove member").click()
    await expect(page.get_by_role("status")).to_have_text("The member was removed.")
    await expect(page.get_by_text("3 of 3 members")).to_be_visible()


async def test_the_only_owner_cannot_leave(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/leave")
    await page.get_by_role("button", name="Leave project").click()
    await expect(page.get_by_role("alert")).to_contain_text("at least one owner")


async def test_a_person_goes_from_one_project_to_another(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with world.transaction() as session:
        other = await world.facade.projects.create(session, team.owner, name="Second project")
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members")
    projects = page.get_by_role("navigation", name="Projects")
    await projects.locator("summary").click()
    await projects.get_by_role("link", name="Second project").click()
    await page.wait_for_url(f"**/projects/{other.value.project_id}/members")
