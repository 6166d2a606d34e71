"""Accounts, tenants, registrations and dead letters, as those who operate the product use them."""

import pytest
from playwright.async_api import expect
from support.browsing import NARROW, Visits
from support.seed import add_dead_message
from support.world import PostgresWorld

from hoc.cus.account.L2_api.scopes import ADMINS


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_account_is_found_deactivated_and_activated(
    visits: Visits, world: PostgresWorld, *, scripts: bool
) -> None:
    email = world.new_email()
    user_id = await world.add_user(email)
    operator = await world.add_user()
    page = await visits.as_user(operator, "/admin/accounts", scopes=ADMINS, scripts=scripts)
    await page.get_by_label("Name or address").fill(email)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("1 of 1 that match")).to_be_visible()
    assert page.url.endswith("/admin/accounts/search")
    await page.get_by_role("rowheader").get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(email)
    assert page.url.endswith(f"/admin/accounts/{user_id}")
    await page.get_by_role("link", name="Deactivate…").click()
    await page.get_by_label("Reason").fill("Left the company")
    await page.get_by_role("button", name="Deactivate account").click()
    await expect(page.get_by_role("status")).to_have_text("The account is deactivated.")
    await page.get_by_role("button", name="Activate").click()
    await expect(page.get_by_role("status")).to_have_text("The account is active.")


async def test_a_tenant_is_suspended_and_reactivated(visits: Visits, world: PostgresWorld) -> None:
    tenant_id, _ = await world.tenant()
    operator = await world.add_user()
    page = await visits.as_user(operator, "/admin/tenants", scopes=ADMINS, size=NARROW)
    await page.get_by_label("Name, slug or id").fill(tenant_id)
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("rowheader").get_by_role("link").click()
    for verb, status in (("Suspend", "suspended"), ("Reactivate", "active")):
        await page.get_by_role("link", name=f"{verb}…").click()
        await page.get_by_role("dialog").get_by_role("button", name=f"{verb} tenant").click()
        await expect(page.get_by_role("status")).to_contain_text(f"is {status}.")


async def test_a_dead_letter_is_tried_again(visits: Visits, world: PostgresWorld) -> None:
    message_id, operator = world.new_id(), await world.add_user()
    await add_dead_message(world.database, message_id)
    page = await visits.as_user(operator, "/admin/dead-letters", scopes=ADMINS)
    await page.get_by_role("button", name=f"Retry billing.tested {message_id}").click()
    await expect(page.get_by_role("status")).to_contain_text("1 dead letter will be tried again.")


async def test_the_chart_of_registrations_has_a_table_behind_it(visits: Visits, world: PostgresWorld) -> None:
    page = await visits.as_user(await world.add_user(), "/admin/registrations", scopes=ADMINS)
    await expect(page.get_by_role("img", name="New accounts by day")).to_be_visible()
    table = page.get_by_role("table", name="New accounts by day")
    await expect(table).to_be_hidden()
    await page.get_by_text("Show the numbers").click()
    await expect(table.get_by_role("rowheader")).to_have_count(30)
