"""A webhook endpoint, from its creation to a test that is really delivered, as an admin uses it."""

from playwright.async_api import expect
from standardwebhooks import Webhook
from support.browsing import Visits
from support.receiver import receiver
from support.waiting import until
from support.webhook_sending import has
from support.world import PostgresWorld


async def test_an_endpoint_is_created_tested_and_deleted(visits: Visits, world: PostgresWorld) -> None:
    team = await world.team()
    async with receiver() as taking:
        page = await visits.as_user(team.admin, f"/projects/{team.tenant_id}/webhooks")
        await page.get_by_role("link", name="Create an endpoint").click()
        await page.get_by_label("URL").fill(taking.url())
        # A type that making the team causes no event of: one without a number yet would be sent too.
        await page.get_by_label("Quotas changed").check()
        await page.get_by_role("button", name="Create endpoint").click()
        secret = await page.locator("code").inner_text()
        await page.get_by_role("link", name="Endpoint").click()
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.get_by_role("status")).to_contain_text("A test will be sent.")
        await until(lambda: has(1, taking))
        [test] = taking.requests
        Webhook(secret).verify(test.body, test.headers)

        async def is_listed() -> int:
            await page.reload()
            return await page.get_by_role("row", name="Webhook test").count()

        await until(is_listed)
        await expect(page.get_by_role("row", name="Webhook test")).to_contain_text("204")
        await page.get_by_role("link", name="Delete endpoint…").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete endpoint").click()
        await expect(page.get_by_role("status")).to_have_text("The endpoint is deleted.")
