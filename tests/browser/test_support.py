"""Support tickets, as people use them."""

import pytest
from playwright.async_api import expect
from support.browsing import NARROW, Visits
from support.world import PostgresWorld


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_ticket_is_opened_answered_and_resolved(
    visits: Visits, world: PostgresWorld, *, scripts: bool
) -> None:
    team = await world.team()
    page = await visits.as_user(
        team.member, f"/projects/{team.tenant_id}/tickets", size=NARROW, scripts=scripts
    )
    await page.get_by_role("main").get_by_role("link", name="New ticket").first.click()
    await page.get_by_label("Subject").fill("Runs stop")
    await page.get_by_label("What happened").fill("Every run ends early.")
    await page.get_by_label("Priority").select_option("Urgent")
    await page.get_by_role("button", name="Open ticket").click()
    await expect(page.get_by_role("status")).to_have_text("Your ticket is open. Support answers here.")
    ticket_id = page.url.rpartition("/")[2]
    async with world.transaction() as session:
        await world.facade.support.reply(
            session, team.tenant_id, ticket_id, "staff", text="Since when?", as_support=True
        )
    await page.reload()
    thread = page.get_by_role("list", name="Thread").get_by_role("listitem")
    await expect(thread.last).to_contain_text("Support")
    await page.get_by_label("Your answer").fill("Since Monday.")
    await page.get_by_role("button", name="Send answer").click()
    await expect(thread).to_have_count(3)
    await page.get_by_role("button", name="Resolve ticket").click()
    await expect(page.get_by_role("status")).to_have_text("The ticket is resolved.")
    await page.get_by_role("button", name="Reopen ticket").click()
    await expect(page.get_by_role("status")).to_have_text("The ticket is open again.")


async def test_tickets_are_filtered_and_others_only_read(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.support.create_ticket(
            session, team.tenant_id, team.member, subject="Runs stop", description="Early."
        )
    page = await visits.as_user(team.viewer, f"/projects/{team.tenant_id}/tickets")
    await page.get_by_label("Status").select_option("Resolved")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("No ticket matches")).to_be_visible()
    await page.get_by_label("Status").select_option("Open")
    await page.get_by_label("Priority").select_option("Medium")
    await page.get_by_label("About").select_option("General")
    await page.get_by_role("button", name="Apply").click()
    await page.get_by_role("link", name="Runs stop").click()
    await expect(page.get_by_role("listitem").filter(has_text="Early.")).to_be_visible()
    await expect(page.get_by_role("button", name="Send answer")).to_have_count(0)
