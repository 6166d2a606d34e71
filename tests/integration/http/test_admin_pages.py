"""The pages for those who operate the product: who sees them, what they show, and what their forms do."""

import re
from collections.abc import AsyncGenerator
from datetime import date
from urllib.parse import quote

import pytest
from support.pages import MOUNT, Browser, Pages, serving_pages
from support.postgres import TestServer
from support.seed import execute
from support.statements import recorded_statements
from support.world import NOBODY

from hoc.cus.account.L2_api.pages.app import PAGES
from hoc.cus.account.L2_api.pages.charts import chart_figures
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountUpdateRequest

ADMIN_PAGES = [page for page in PAGES if page.path.startswith("/admin/")]
DEAD_MESSAGE = """
    INSERT INTO account.dead_messages (message_id, subject, time, data, reason)
    VALUES (:id, :subject, now(), '{}', :reason)"""


@pytest.fixture(scope="module")
async def pages(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Pages]:
    """A database of its own: lists and numbers are of all accounts."""
    async with (
        postgres_server.new_database() as url,
        serving_pages(url, tmp_path_factory.mktemp("pages")) as pages,
    ):
        yield pages


@pytest.fixture
async def admin(pages: Pages) -> Browser:
    browser = pages.browser(await pages.add_user(), *ADMINS)
    await browser.open("/admin/tenants")  # for the token of its forms
    return browser


async def add_account(pages: Pages, name: str) -> tuple[str, str]:
    """An account with this name; returns its id and address."""
    request = AccountEnsureRequest(pages.new_id(), pages.new_email(), name, email_verified=True)
    await pages.accounts.ensure_account(request)
    return request.user_id, request.email


async def is_active(pages: Pages, user_id: str) -> bool:
    async with pages.reading() as session:
        return (await pages.engines.operators.get_account(session, user_id)).account.is_active


async def status_of(pages: Pages, tenant_id: str) -> str:
    async with pages.reading() as session:
        found = await pages.engines.projects.get(session, tenant_id, tenant_id)
    assert found is not None
    return found.value.status


async def test_only_callers_with_the_scope_open_them(pages: Pages) -> None:
    values = {"user_id": NOBODY, "tenant_id": "ten_1", "status": "active"}
    owner = await pages.add_user()
    await pages.tenant(owner)
    for page in ADMIN_PAGES:
        path = page.path.format(**values)
        for browser, status in ((pages.browser(owner), 403), (pages.browser(owner, "accounts:write"), 403)):
            await browser.open("/")
            answer = await (browser.send(path) if page.method == "POST" else browser.open(path))
            assert answer.status_code == status, page.name
    assert (await pages.browser().open("/admin/accounts")).status_code == 401
    assert "Administration" not in (await pages.browser(owner).open("/")).text
    assert "/admin/dead-letters" in (await pages.browser(owner, *ADMINS).open("/")).text


async def test_accounts_are_found_and_no_url_has_an_address(pages: Pages, admin: Browser) -> None:
    user_id, email = await add_account(pages, "<b>Grace</b> O'Hopper")
    listed = await admin.open("/admin/accounts")
    assert "&lt;b&gt;Grace&lt;/b&gt; O&#x27;Hopper" in listed.text
    assert "<b>Grace" not in listed.text
    found = listed
    for term in (email, "grace</b> o'h"):
        found = await admin.send("/admin/accounts/search", {"search": term})
        assert found.status_code == 200
        assert found.url.query == b""
        assert f'href="{MOUNT}/admin/accounts/{user_id}"' in found.text
        assert "1 of 1 that match" in found.text
    for page in (listed, found):
        urls = re.findall(r'(?:href|action)="([^"]*)"', page.text)
        assert not [url for url in urls if "@" in url or quote("@") in url]
    refused = await admin.send("/admin/accounts/search", {"search": "a\u0000"})
    assert refused.status_code == 400
    assert 'aria-invalid="true"' in refused.text
    nobody = await admin.send("/admin/accounts/search", {"search": "no such person", "status": "all"})
    assert "No account matches" in nobody.text


async def test_a_search_goes_on_by_a_form(pages: Pages, admin: Browser) -> None:
    for number in range(51):
        await add_account(pages, f"Walker {number:02}")
    first = await admin.send("/admin/accounts/search", {"search": "walker"})
    assert "50 of 51 that match" in first.text
    cursor = re.search(r'name="cursor" value="([^"]+)"', first.text)
    assert cursor
    rest = await admin.send("/admin/accounts/search", {"search": "walker", "cursor": cursor[1]})
    assert "Walker 00" in rest.text
    assert "1 of 51 that match" in rest.text


async def test_an_account_is_shown_whole_and_its_status_changed(pages: Pages, admin: Browser) -> None:
    user_id, email = await add_account(pages, "Ada")
    tenant_id, owner = await pages.tenant()
    await pages.join(tenant_id, owner, user_id=user_id, email=email)
    await pages.accounts.link_identity(user_id, "auth0|ada", issuer="https://issuer.example.com")
    await pages.accounts.update_own_profile(user_id, AccountUpdateRequest(email=pages.new_email()))
    path = f"/admin/accounts/{user_id}"
    shown = (await admin.open(path)).text
    for text in (
        "auth0|ada",
        "https://issuer.example.com",
        "Change of address",
        f"/admin/tenants/{tenant_id}",
    ):
        assert text in shown
    cancelled = await admin.send(f"{path}/cancel-email-change")
    assert "Cancel the change" not in cancelled.text

    asked = await admin.open(f"{path}/deactivate")
    assert "Deactivate Ada?" in asked.text
    assert await is_active(pages, user_id), "asking changes nothing"
    refused = await admin.send(f"{path}/deactivate", {"reason": "x" * 501})
    assert refused.status_code == 400
    assert "aria-invalid" in refused.text
    done = await admin.send(f"{path}/deactivate", {"reason": "left the company"})
    assert "The account is deactivated." in done.text
    assert not await is_active(pages, user_id)
    await admin.send(f"{path}/activate")
    assert await is_active(pages, user_id)
    deleted = await admin.send(f"{path}/delete", {"reason": ""})
    assert "Deleted" in deleted.text
    [event] = [each for each in await pages.events(user_id=user_id) if each.type == "user.deleted"]
    assert event.actor is not None, "the audit trail names the operator"


async def test_the_last_owner_stays_and_the_page_says_why(pages: Pages, admin: Browser) -> None:
    _, owner = await pages.tenant()
    await admin.open(f"/admin/accounts/{owner}/delete")
    refused = await admin.send(f"/admin/accounts/{owner}/delete")
    assert refused.status_code == 409
    assert 'role="alert"' in refused.text
    assert await is_active(pages, owner)


async def test_a_person_is_erased_once_the_page_has_asked(pages: Pages, admin: Browser) -> None:
    user_id, email = await add_account(pages, "Ada")
    path = f"/admin/accounts/{user_id}"
    assert f"{path}/erase" in (await admin.open(path)).text
    asked = await admin.open(f"{path}/erase")
    assert "Erase Ada?" in asked.text
    assert "beyond reach" in asked.text
    done = await admin.send(f"{path}/erase")
    assert f"Only the id {user_id} stays." in done.text
    shown = (await admin.open(path)).text
    assert "Erased account" in shown
    assert f"{path}/erase" not in shown
    for gone in ("Ada", email, "Activate"):
        assert gone not in shown
    listed = await admin.open("/admin/accounts?status=inactive")
    assert f'href="{path}"' in listed.text or path in listed.text


async def test_only_owners_and_open_tenants_are_not_erased(pages: Pages, admin: Browser) -> None:
    tenant_id, owner = await pages.tenant()
    await admin.open(f"/admin/accounts/{owner}/erase")
    refused = await admin.send(f"/admin/accounts/{owner}/erase")
    assert refused.status_code == 409
    assert tenant_id in refused.text
    path = f"/admin/tenants/{tenant_id}"
    assert f"{path}/erase" not in (await admin.open(path)).text
    assert (await admin.send(f"{path}/erase")).status_code == 409
    await pages.suspend(tenant_id, "terminated")
    assert f"{path}/erase" in (await admin.open(path)).text
    assert "Its members keep their accounts." in (await admin.open(f"{path}/erase")).text
    assert f"Only the id {tenant_id} stays." in (await admin.send(f"{path}/erase")).text
    assert "Erased tenant" in (await admin.open(path)).text


async def test_a_tenant_is_found_suspended_and_closed(pages: Pages, admin: Browser) -> None:
    tenant_id, _ = await pages.tenant()
    listed = await admin.open("/admin/tenants?status=active")
    assert f"/admin/tenants/{tenant_id}" in listed.text
    found = await admin.send("/admin/tenants/search", {"search": tenant_id, "status": ""})
    assert found.url.query == b""
    assert f"/admin/tenants/{tenant_id}" in found.text
    short = await admin.send("/admin/tenants/search", {"search": "ab"})
    assert short.status_code == 400
    assert 'aria-invalid="true"' in short.text
    for status, label in (
        ("suspended", "Suspend"),
        ("active", "Reactivate"),
        ("terminated", "Terminate"),
        ("archived", "Archive"),
    ):
        path = f"/admin/tenants/{tenant_id}/{status}"
        assert f"{path}" in (await admin.open(f"/admin/tenants/{tenant_id}")).text
        assert f"{label} tenant" in (await admin.open(path)).text
        await admin.send(path)
        assert await status_of(pages, tenant_id) == status
    assert (await admin.open(f"/admin/tenants/{tenant_id}/active")).status_code == 404
    assert (await admin.send(f"/admin/tenants/{tenant_id}/active")).status_code == 409
    assert (await admin.open(f"/admin/tenants/{tenant_id}/gone")).status_code == 404
    assert (await admin.open("/admin/tenants/ten_1")).status_code == 404


async def test_dead_letters_are_listed_and_retried(pages: Pages, admin: Browser) -> None:
    await execute(pages.database, "DELETE FROM account.dead_messages")
    assert "No dead letters" in (await admin.open("/admin/dead-letters")).text
    for number in range(3):
        values = {"id": f"msg-{number}", "subject": "billing.<i>changed</i>", "reason": f"because {number}"}
        await execute(pages.database, DEAD_MESSAGE, **values)
    listed = await admin.open("/admin/dead-letters")
    assert "billing.&lt;i&gt;changed&lt;/i&gt;" in listed.text
    assert listed.text.count('name="id"') == 3
    one = await admin.send("/admin/dead-letters/retry", {"id": "msg-1"})
    assert "1 dead letter will be tried again." in one.text
    assert one.text.count('name="id"') == 2
    unknown = await admin.send("/admin/dead-letters/retry", {"id": "msg-9"})
    assert unknown.status_code == 404
    every = await admin.send("/admin/dead-letters/retry")
    assert "3 dead letters will be tried again." in every.text
    assert 'name="id"' not in every.text
    async with pages.reading() as session:
        first = await pages.engines.operators.list_dead_letters(session, limit=2)
        rest = await pages.engines.operators.list_dead_letters(session, limit=2, cursor=first.next_cursor)
    assert [each.id for page in (first, rest) for each in page.value.dead_letters] == [
        "msg-0",
        "msg-1",
        "msg-2",
    ]
    assert (first.value.total, rest.next_cursor) == (3, None)


async def test_registrations_are_a_chart_with_its_table(pages: Pages, admin: Browser) -> None:
    for number in range(2):
        await add_account(pages, f"New {number}")
    shown = (await admin.open("/admin/registrations")).text
    stats = await pages.accounts.get_service_stats()
    assert f"<dt>Accounts</dt><dd>{stats.total_accounts}</dd>" in shown
    assert '<title id="registrations-title">New accounts by day</title>' in shown
    said = re.search(r": ([0-9,]+) accounts, at most", shown)
    rows = re.findall(r'</time></th><td class="number">([0-9,]+)</td>', shown)
    assert said
    assert said[1] == f"{sum(int(row.replace(',', '')) for row in rows):,}"
    assert int(rows[0]) >= 2
    assert shown.count('<g class="column">') == len(rows) == 30
    assert " style=" not in shown


@pytest.mark.parametrize(("most", "top"), [(0, 2), (1, 2), (3, 4), (9, 10), (10, 20), (81, 100), (417, 600)])
def test_a_charts_axis_ends_at_a_round_number(most: int, top: int) -> None:
    assert chart_figures([(date(2026, 1, 1), 0), (date(2026, 1, 2), most)]).top == top


async def test_no_page_makes_a_statement_for_each_row(pages: Pages, admin: Browser) -> None:
    user_id = await pages.add_user()
    await pages.tenant(user_id)

    async def statements() -> list[int]:
        counts: list[int] = []
        for path in ("accounts", f"accounts/{user_id}", "tenants", "registrations", "dead-letters"):
            with recorded_statements(pages.database) as recorded:
                assert (await admin.open(f"/admin/{path}")).status_code == 200
            counts.append(len(recorded))
        return counts

    before = await statements()
    for number in range(5):
        await add_account(pages, f"More {number}")
        await pages.tenant(user_id)
        await pages.accounts.link_identity(user_id, f"more-{number}", issuer="https://issuer.example.com")
        values = {"id": f"more-{number}", "subject": "billing.changed", "reason": "wrong"}
        await execute(pages.database, DEAD_MESSAGE, **values)
    assert await statements() == before
    assert max(before) <= 7, before
