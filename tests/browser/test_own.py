"""The pages that links in mails open, and a person's own, as people use them."""

from playwright.async_api import expect
from support.browsing import NARROW, Visits
from support.world import PostgresWorld


async def test_an_invitations_link_is_opened_and_accepted(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invited = await world.add_user(email)
    await world.invite(tenant_id, owner, email)
    page = await visits.as_user(None, await visits.site.mailed_path(email), size=NARROW)
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Join Tenant")
    assert "token" not in page.url
    await page.get_by_role("button", name="Accept invitation").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("You have joined Tenant")
    assert await world.role_of(tenant_id, invited) == "member"


async def test_an_invitations_link_is_opened_and_declined(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invited = await world.add_user(email)
    await world.invite(tenant_id, owner, email)
    page = await visits.as_user(invited, await visits.site.mailed_path(email))
    await page.get_by_text("Decline…").click()
    await page.get_by_role("button", name="Decline invitation").click()
    await expect(page.get_by_role("status")).to_have_text("You have declined the invitation.")


async def test_a_changed_address_is_confirmed_by_a_person(visits: Visits, world: PostgresWorld) -> None:
    user_id, new = await world.add_user(), world.new_email()
    page = await visits.as_user(user_id, "/profile/sign-in")
    await page.get_by_label("New address").fill(new)
    await page.get_by_role("button", name="Send link").click()
    await expect(page.get_by_role("status")).to_contain_text("A link is on its way")
    page = await visits.as_user(None, await visits.site.mailed_path(new))
    await expect(page.get_by_role("button", name="Confirm address")).to_be_focused()
    assert "#" not in page.url
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your address is confirmed")).to_be_visible()


async def test_a_profile_is_saved(visits: Visits, world: PostgresWorld) -> None:
    page = await visits.as_user(await world.add_user(), "/profile", size=NARROW)
    await page.get_by_label("Name").fill("Ada Lovelace")
    await page.get_by_label("Time zone").fill("Berlin")
    await page.get_by_role("button", name="Save profile").click()
    await expect(page.get_by_label("Time zone")).to_be_focused()
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_role("button", name="Save profile").click()
    await expect(page.get_by_role("status")).to_have_text("Your profile is saved.")


async def test_preferences_are_changed(visits: Visits, world: PostgresWorld) -> None:
    user_id = await world.add_user()
    async with world.transaction() as session:
        stored = {"theme": "dark", "weekly digest": True}
        await world.facade.profiles.update(session, user_id, preferences=stored)
    page = await visits.as_user(user_id, "/profile")
    await page.get_by_role("link", name="Look at them").click()
    await page.get_by_label("theme").fill("light")
    await page.get_by_label("weekly digest").select_option("Off")
    await page.get_by_role("button", name="Save preferences").click()
    await expect(page.get_by_role("status")).to_have_text("Your preferences are saved.")
    await expect(page.get_by_label("theme")).to_have_value("light")
    await expect(page.get_by_label("weekly digest")).to_have_value("false")


async def test_a_person_creates_a_project_and_joins_another(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    page = await visits.as_user(await world.add_user(email), "/")
    await page.get_by_role("link", name="Create project").click()
    dialog = page.get_by_role("dialog", name="Create a project")
    await dialog.get_by_label("Name", exact=True).fill("First project")
    await dialog.get_by_role("button", name="Create project").click()
    await expect(page.get_by_role("status")).to_contain_text("First project is created")
    await world.invite(tenant_id, owner, email)
    await page.get_by_role("link", name="Your invitations").click()
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_role("status")).to_contain_text("You have joined")
    await page.get_by_role("link", name="Your projects").click()
    await expect(page.get_by_text("2 of 2 projects")).to_be_visible()


async def test_ownership_is_offered_and_accepted(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members/{team.admin}")
    await page.get_by_role("link", name="Offer ownership…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Offer ownership").click()
    await expect(page.get_by_role("button", name="Withdraw the offer")).to_be_visible()
    page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/members")
    await page.get_by_role("link", name="Look at it").click()
    await page.get_by_role("button", name="Accept ownership").click()
    await expect(page.get_by_role("status")).to_have_text("You are an owner now.")
    assert await world.role_of(team.tenant_id, team.owner) == "admin"
