"""The project, its usage and bills, and its audit trail, as people use them."""

from datetime import timedelta

from playwright.async_api import expect
from support.browsing import NARROW, Visits
from support.world import PostgresWorld


async def test_a_project_is_set_up_and_shows_its_quotas(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.usage.record(session, team.tenant_id, runs=90, tokens=1)
        await world.facade.projects.advance_onboarding(session, team.tenant_id, 2)
    page = await visits.as_user(team.viewer, f"/projects/{team.tenant_id}/project", size=NARROW)
    await expect(page.get_by_role("img", name="Runs today: 90 percent used")).to_be_visible()
    steps = page.get_by_role("listitem")
    await expect(steps.filter(has_text="Create an API key")).to_contain_text("done")
    await expect(steps.filter(has_text="Connect the SDK")).to_contain_text("to do")
    await expect(page.get_by_role("button", name="Save")).to_have_count(0)
    async with world.transaction() as session:
        await world.facade.projects.advance_onboarding(session, team.tenant_id, 4)
    await page.reload()
    await expect(page.get_by_role("heading", name="Set up")).to_have_count(0)


async def test_a_change_made_meanwhile_is_not_overwritten(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    path = f"/projects/{team.tenant_id}/project"
    mine, theirs = await visits.as_user(team.owner, path), await visits.as_user(team.admin, path)
    for page, given in ((theirs, "Theirs"), (mine, "Mine")):
        await page.get_by_label("Name", exact=True).fill(given)
        await page.get_by_role("button", name="Save").click()
    await expect(theirs.get_by_role("status")).to_have_text("The project was changed.")
    await expect(mine.get_by_role("alert")).to_contain_text("Nothing was saved.")
    name = mine.get_by_label("Name", exact=True)
    await expect(name).to_have_value("Mine")
    await expect(name).to_have_accessible_description("Stored now: Theirs")
    await mine.get_by_role("button", name="Save").click()
    await expect(mine.get_by_role("status")).to_have_text("The project was changed.")
    await expect(mine.get_by_role("navigation", name="Projects")).to_contain_text("Mine")


async def test_usage_is_charted_and_invoices_are_linked(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.usage.record(session, team.tenant_id, runs=30, tokens=2_000)
        for number, cents, status in (("INV-1", 4900, "paid"), ("CN-1", -900, "open")):
            await world.facade.billing.record_invoice(
                session,
                team.tenant_id,
                invoice_id=number,
                number=number,
                period_start=world.clock() - timedelta(days=30),
                period_end=world.clock(),
                amount_cents=cents,
                currency="EUR",
                status=status,
                description="A month",
                hosted_url=f"https://pay.example.com/{number}",
            )
    page = await visits.as_user(team.member, f"/projects/{team.tenant_id}/billing", scripts=False)
    await expect(page.get_by_role("img", name="Runs by day")).to_be_visible()
    runs = page.get_by_role("table", name="Runs by day")
    await expect(runs).to_be_hidden()
    await page.get_by_text("Show the numbers").first.click()
    await expect(runs.get_by_role("row").nth(1)).to_contain_text("30")
    invoices = page.get_by_role("table", name="Invoices")
    await expect(invoices.get_by_role("row", name="INV-1")).to_contain_text("Paid")
    await expect(invoices.get_by_role("row", name="CN-1")).to_contain_text("\u22129.00\u00a0EUR")
    await page.get_by_label("Status").select_option("Paid")
    await page.get_by_role("button", name="Apply").click()
    await expect(invoices.get_by_role("row", name="CN-1")).to_have_count(0)
    link = invoices.get_by_role("link", name="INV-1")
    await expect(link).to_have_attribute("href", "https://pay.example.com/INV-1")


async def test_the_audit_trail_is_filtered_and_paged(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.facade.profiles.update(session, team.viewer, display_name="Ada Lovelace")
        for number in range(51):
            await world.facade.support.create_ticket(
                session, team.tenant_id, team.viewer, subject=f"Ticket {number}", description="Help"
            )
    page = await visits.as_user(team.owner, f"/projects/{team.tenant_id}/members/{team.viewer}")
    await page.get_by_role("main").get_by_role("link", name="Audit trail").click()
    events = page.get_by_role("table", name="Events")
    await page.get_by_label("Event", exact=True).select_option(label="Ticket created")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_label("By (user id)")).to_have_value(team.viewer)
    await expect(events.get_by_role("rowheader")).to_have_count(50)
    await page.get_by_role("link", name="Next page").click()
    last = events.get_by_role("row").nth(1)
    await expect(last.get_by_role("link", name="Ada Lovelace")).to_have_attribute("title", team.viewer)
    await page.get_by_role("link", name="First page").click()
    await page.get_by_label("To").fill("2001-01-01")
    await page.get_by_role("button", name="Apply").click()
    await page.get_by_role("link", name="Show everything").click()
    await page.get_by_role("link", name="Ticket 50").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ticket 50")
