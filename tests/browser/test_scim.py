"""Tokens and roles by group of a tenant's SCIM client, as its owner uses them."""

from playwright.async_api import expect
from support.browsing import NARROW, Visits
from support.world import PostgresWorld


async def test_a_token_is_made_copied_and_revoked(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    page = await visits.as_user(owner, f"/projects/{tenant_id}/scim")
    await page.get_by_role("link", name="Make a token").click()
    await page.get_by_label("Name").fill("Entra ID")
    await page.get_by_role("button", name="Make token").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Entra ID")
    token = await page.locator("code").inner_text()
    async with world.reading() as session:
        assert await world.engines.scim_tokens.authenticate(session, token) is not None
    await page.get_by_role("link", name="SCIM").first.click()
    await page.get_by_role("link", name="Revoke Entra ID…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke token").click()
    await expect(page.get_by_role("status")).to_have_text("The token Entra ID is revoked.")
    await expect(page.get_by_role("row", name="Entra ID")).to_contain_text("Revoked")


async def test_a_group_is_given_a_role_and_loses_it(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, owner = await world.tenant()
    page = await visits.as_user(owner, f"/projects/{tenant_id}/scim", size=NARROW)
    await page.get_by_label("Group").fill("Engineers")
    await page.get_by_label("Role", exact=True).select_option("admin")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row", name="Engineers")).to_contain_text("Admin")
    await page.get_by_role("button", name="Remove Engineers").click()
    await expect(page.get_by_role("status")).to_have_text("Engineers gives no role any more.")
