"""The pages of a project: its name, billing, tickets, audit trail, and searching and inviting many."""

from collections.abc import AsyncGenerator

import pytest
from support.pages import MOUNT, Pages, serving_pages, version_in
from support.statements import recorded_statements
from support.world import Team

from hoc.cus.account.L2_api.pages.tenant.tickets import SHOWN_REPLIES


@pytest.fixture(scope="module")
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages")) as pages:
        yield pages


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team(seats=100)


async def test_an_owner_renames_the_project(pages: Pages, team: Team) -> None:
    browser, path = pages.browser(team.owner), f"/projects/{team.tenant_id}/project"
    shown = (await browser.open(path)).text
    assert "Runs today" in shown
    assert "Set up" in shown
    form = {
        "name": "New & shiny",
        "slug": f"new-{team.tenant_id[-12:]}",
        "description": "What we do & why",
        "version": version_in(shown),
    }
    answer = await browser.send(path, form)
    assert "The project was changed." in answer.text
    assert "New &amp; shiny" in answer.text
    stale = await browser.send(path, {**form, "name": "Newer"})
    assert stale.status_code == 412
    assert "Stored now: New &amp; shiny" in stale.text
    assert stale.text.count("Stored now") == 1, "Only the name that was sent differs from the stored one."
    assert 'value="Newer"' in stale.text
    again = await browser.send(path, {**form, "name": "Newer", "version": version_in(stale.text)})
    assert "The project was changed." in again.text
    refused = await browser.send(path, {**form, "name": ""})
    assert refused.status_code == 400
    assert 'id="name-wrong"' in refused.text
    viewer = pages.browser(team.viewer)
    assert 'name="slug"' not in (await viewer.open(path)).text
    assert (await viewer.send(path, {**form, "name": "Mine"})).status_code == 403


async def test_billing_shows_the_plan_and_invoices(pages: Pages, team: Team) -> None:
    async with pages.transaction() as session:
        await pages.facade.billing.record_invoice(
            session,
            team.tenant_id,
            invoice_id="inv-1",
            period_start=pages.clock(),
            period_end=pages.clock(),
            amount_cents=4900,
            currency="JPY",
            status="paid",
            description="A month",
            hosted_url="https://pay.example.com/inv-1",
        )
    shown = (await pages.browser(team.member).open(f"/projects/{team.tenant_id}/billing")).text
    assert "4,900\u00a0JPY" in shown
    assert 'href="https://pay.example.com/inv-1"' in shown


async def test_a_ticket_is_opened_answered_resolved_and_reopened(pages: Pages, team: Team) -> None:
    browser, place = pages.browser(team.member), f"/projects/{team.tenant_id}/tickets"
    await browser.open(f"{place}/new")
    fields = {
        "subject": "Help",
        "description": "<b>It</b> stops",
        "category": "technical",
        "priority": "high",
    }
    opened = await browser.send(place, fields)
    assert "&lt;b&gt;It&lt;/b&gt; stops" in opened.text
    path = opened.url.path.removeprefix(MOUNT)
    assert "And again." in (await browser.send(f"{path}/replies", {"text": "And again."})).text
    async with pages.transaction() as session:
        await pages.facade.support.reply(
            session, team.tenant_id, path.rpartition("/")[2], "staff", text="We look.", as_support=True
        )
    assert '<li class="support">' in (await browser.open(path)).text
    empty = await browser.send(f"{path}/replies", {"text": " "})
    assert empty.status_code == 400
    assert 'id="text-wrong"' in empty.text
    async with pages.transaction() as session:
        for number in range(SHOWN_REPLIES):
            await pages.facade.support.reply(
                session, team.tenant_id, path.rpartition("/")[2], team.owner, text=f"Number {number}."
            )
    newest = (await browser.open(path)).text
    assert ("Number 49." in newest, "And again." in newest) == (True, False)
    assert "Earlier answers" in newest
    oldest = (await browser.open(f"{path}?offset=0")).text
    assert ("Number 49." in oldest, "And again." in oldest) == (False, True)
    assert f'href="{MOUNT}{path}?offset=50">Later answers' in oldest
    assert "Reopen ticket" in (await browser.send(f"{path}/resolve")).text
    assert "Resolve ticket" in (await browser.send(f"{path}/reopen")).text
    other = await pages.browser(team.viewer).open(path)
    assert "Your answer" not in other.text


async def test_no_page_makes_a_statement_for_each_row(pages: Pages, team: Team) -> None:
    browser, place = pages.browser(team.owner), f"/projects/{team.tenant_id}"

    async def add_rows() -> str:
        await pages.join(team.tenant_id, team.owner)
        await pages.invite(team.tenant_id, team.owner)
        async with pages.transaction() as session:
            ticket = await pages.facade.support.create_ticket(
                session, team.tenant_id, team.member, subject="Help", description="Please."
            )
            await pages.facade.billing.record_invoice(
                session,
                team.tenant_id,
                invoice_id=pages.new_id(),
                period_start=pages.clock(),
                period_end=pages.clock(),
                amount_cents=100,
                status="paid",
                description="A month",
            )
        return ticket.id

    ticket_id = await add_rows()

    async def statements() -> list[int]:
        counts: list[int] = []
        async with pages.transaction() as session:
            await pages.facade.support.reply(
                session, team.tenant_id, ticket_id, team.owner, text="And again."
            )
        for path in ("members", "invitations", "billing", "tickets", f"tickets/{ticket_id}", "audit"):
            with recorded_statements(pages.database) as recorded:
                assert (await browser.open(f"{place}/{path}")).status_code == 200
            counts.append(len(recorded))
        return counts

    before = await statements()
    for _ in range(4):
        await add_rows()
    assert await statements() == before
    assert max(before) <= 8, before


async def test_the_audit_trail_is_filtered(pages: Pages, team: Team) -> None:
    browser, path = pages.browser(team.owner), f"/projects/{team.tenant_id}/audit"
    assert "Member joined" in (await browser.open(path)).text
    only = (await browser.open(f"{path}?type=invitation.created&since=&until=&actor={team.owner}")).text
    assert "<summary>Member joined" not in only
    assert "<summary>Invitation created" in only
    invited = next(event for event in await pages.events(tenant_id=team.tenant_id) if "email" in event.data)
    assert f'title="{invited.data["invitation_id"]}">{invited.data["email"]}<' in only, (
        "the id is shown on hover"
    )
    assert "Nothing happened" in (await browser.open(f"{path}?until=2001-01-01")).text
    assert (await browser.open(f"{path}?since=yesterday")).status_code == 400
    assert (await pages.browser(team.viewer).open(path)).status_code == 403


async def test_a_search_is_sent_as_a_form_and_goes_on_as_one(pages: Pages, team: Team) -> None:
    browser, place = pages.browser(team.viewer), f"/projects/{team.tenant_id}/members"
    await browser.open(place)
    async with pages.reading() as session:
        found = await pages.facade.members.get_user(session, team.tenant_id, team.admin)
    assert found is not None
    shown = await browser.send(
        f"{place}/search", {"search": found.value.email, "role": "", "status": "active"}
    )
    assert found.value.email in shown.text
    assert "1 of 1 member" in shown.text
    assert "?" not in str(shown.url)
    assert (await browser.open(f"{place}?search=ada")).status_code == 400, "no URL has a search"


async def test_many_are_invited_with_a_result_for_each(pages: Pages, team: Team) -> None:
    browser, place = pages.browser(team.admin), f"/projects/{team.tenant_id}/invitations"
    await browser.open(f"{place}/many")
    some = await browser.send(f"{place}/many", {"addresses": "a@example.com, nonsense\nb@example.com"})
    assert "2 invited, 1 not." in some.text
    await browser.open(f"{place}/many")
    both = await browser.send(f"{place}/many", {"addresses": "c@example.com;d@example.com"})
    assert "2 people are invited." in both.text
    await browser.open(f"{place}/many")
    many = "\n".join(f"p{number}@example.com" for number in range(101))
    too_many = await browser.send(f"{place}/many", {"addresses": many})
    assert too_many.status_code == 400
    assert "must be 1 to 100, not 101" in too_many.text
