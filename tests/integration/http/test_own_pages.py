"""The pages that links in mails open, and a person's own: profile, projects, invitations, ownership."""

import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from support.pages import MOUNT, Browser, Pages, serving_pages, version_in
from support.world import Team

from hoc.cus.account.L2_api.pages.app import PAGES
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.settings import Settings

SECRETS = re.compile(r"@|token|ten_[0-9a-z]+\.")


@pytest.fixture(scope="module")
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    settings = {
        "console_sign_in_url": "https://app.example.com/sign-in",
        "primary_issuer": "https://main.example.com",
    }
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages"), **settings) as pages:
        yield pages


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team()


async def follow(browser: Browser, invitation_id: str, token: str) -> httpx.Response:
    """What a person sees who opens an invitation's link."""
    await browser.open(f"/invitations/{invitation_id}")
    return await browser.send(f"/invitations/{invitation_id}", {"token": token})


async def test_an_invitations_link_says_who_invites_to_what(pages: Pages, team: Team) -> None:
    async with pages.transaction() as session:
        await pages.engines.profiles.update(session, team.owner, display_name="<b>Ada</b>")
    invitation_id, token = await pages.invite(team.tenant_id, team.owner, role="admin")
    seen = await follow(pages.browser(), invitation_id, token)
    assert seen.status_code == 200
    assert "&lt;b&gt;Ada&lt;/b&gt; invites you to join Tenant" in seen.text
    assert '<span class="badge ">Admin</span>' in seen.text
    assert "You are not signed in." in seen.text
    assert "Decline invitation" not in seen.text
    assert seen.headers["cache-control"] == "no-store"


async def test_a_person_accepts_before_signing_in(pages: Pages, team: Team) -> None:
    email = pages.new_email()
    invited = await pages.add_user(email)
    invitation_id, token = await pages.invite(team.tenant_id, team.owner, email)
    browser = pages.browser()
    await follow(browser, invitation_id, token)
    for _ in range(2):
        joined = await browser.send(f"/invitations/{invitation_id}/accept", {"token": token})
        assert "You have joined Tenant" in joined.text
        assert 'href="https://app.example.com/sign-in"' in joined.text
    assert await pages.role_of(team.tenant_id, invited) == "member"
    assert "This invitation has been accepted" in (await follow(browser, invitation_id, token)).text


async def test_a_signed_in_person_accepts_or_declines(pages: Pages, team: Team) -> None:
    email = pages.new_email()
    invited = await pages.add_user(email)
    browser = pages.browser(invited)
    invitation_id, token = await pages.invite(team.tenant_id, team.owner, email)
    await follow(browser, invitation_id, token)
    declined = await browser.send(f"/invitations/{invitation_id}/decline", {"token": token})
    assert "You have declined the invitation." in declined.text
    assert "This invitation has been declined" in (await follow(browser, invitation_id, token)).text
    invitation_id, token = await pages.invite(team.tenant_id, team.owner, email)
    await follow(browser, invitation_id, token)
    joined = await browser.send(f"/invitations/{invitation_id}/accept", {"token": token})
    assert joined.url.path == f"{MOUNT}/projects/{team.tenant_id}/members"
    assert "You have joined Tenant" in joined.text
    assert SECRETS.search(str(joined.url)) is None


async def test_a_link_says_plainly_why_it_opens_nothing(pages: Pages, team: Team) -> None:
    invitation_id, token = await pages.invite(team.tenant_id, team.owner)
    wrong = await follow(pages.browser(), invitation_id, f"{token}x")
    assert wrong.status_code == 404
    assert "This link does not open an invitation" in wrong.text
    other = pages.browser(team.viewer)
    await follow(other, invitation_id, token)
    for decide in ("accept", "decline"):
        refused = await other.send(f"/invitations/{invitation_id}/{decide}", {"token": token})
        assert refused.status_code == 403
        assert "This invitation is for another account." in refused.text
        assert "invites you to join" in refused.text
    async with pages.transaction() as session:
        await pages.engines.invitations.revoke(session, team.tenant_id, team.owner, invitation_id)
    assert "does not open" in (await follow(other, invitation_id, token)).text


async def test_a_link_of_a_changed_address_waits_for_a_person(pages: Pages) -> None:
    user_id, new = await pages.add_user(), pages.new_email()
    browser = pages.browser(user_id)
    await browser.open("/profile/sign-in")
    asked = await browser.send("/profile/sign-in", {"email": new})
    assert f"A link is on its way to {new}." in asked.text
    token = await pages.draw_email_token(user_id)
    assert token is not None
    stranger = pages.browser()
    assert 'data-from-fragment="wait"' in (await stranger.open("/email-changes")).text
    wrong = await stranger.send("/email-changes", {"token": f"{token}x"})
    assert (wrong.status_code, "Your address is not confirmed" in wrong.text) == (404, True)
    confirmed = await stranger.send("/email-changes", {"token": token})
    assert "Your address is confirmed" in confirmed.text
    assert new not in confirmed.text, "the link may have gone to somebody else"
    assert (await pages.accounts.get_account_profile(user_id)).email == new


async def test_a_change_of_an_address_is_cancelled(pages: Pages) -> None:
    email = pages.new_email()
    browser = pages.browser(await pages.add_user(email))
    await browser.open("/profile/sign-in")
    same = await browser.send("/profile/sign-in", {"email": email})
    assert "That is your address already." in same.text
    wrong = await browser.send("/profile/sign-in", {"email": "no address"})
    assert (wrong.status_code, 'id="email-wrong"' in wrong.text) == (400, True)
    await browser.send("/profile/sign-in", {"email": pages.new_email()})
    cancelled = await browser.send("/profile/sign-in/cancel")
    assert "The change is cancelled" in cancelled.text
    assert "Waiting for" not in cancelled.text


async def test_an_identity_is_unlinked_but_not_the_last(pages: Pages) -> None:
    service, issuer = pages.served.identity_service, "https://issuer.example.com"
    signed_up = AccountEnsureRequest(pages.new_id(), pages.new_email(), "Ada", issuer=issuer)
    account, _ = await service.ensure_account(signed_up)
    await service.link_identity(account.user_id, "second", issuer=issuer)
    browser = pages.browser(account.user_id)
    assert issuer in (await browser.open("/profile/sign-in")).text
    left = await browser.send("/profile/sign-in/unlink", {"subject": "second", "issuer": issuer})
    assert "The identity is unlinked." in left.text
    last = await browser.send("/profile/sign-in/unlink", {"subject": signed_up.user_id, "issuer": issuer})
    assert last.status_code == 409
    assert "This is the account&#39;s last identity." in last.text


async def test_a_profile_is_saved_as_its_form_shows_it(pages: Pages) -> None:
    user_id = await pages.add_user()
    browser = pages.browser(user_id)
    shown = await browser.open("/profile")
    version = version_in(shown.text)
    form = {"display_name": "Ada", "timezone": "Europe/Berlin", "locale": "de", "version": version}
    wrong = await browser.send("/profile", {**form, "timezone": "Berlin", "avatar_url": "http://a.example/"})
    assert wrong.status_code == 400
    saved = await browser.send("/profile", {**form, "avatar_url": "https://a.example/ada.png"})
    assert "Your profile is saved." in saved.text
    assert 'src="https://a.example/ada.png"' in saved.text
    stale = await browser.send("/profile", {**form, "avatar_url": ""})
    assert stale.status_code == 412
    assert "Nothing was saved" in stale.text
    version = version_in(stale.text)
    assert "Stored now: https://a.example/ada.png" in stale.text
    blank = {"avatar_url": "", "timezone": "", "locale": ""}
    cleared = await browser.send("/profile", {**form, "version": version, **blank})
    assert "a.example" not in cleared.text
    async with pages.reading() as session:
        own = (await pages.engines.profiles.own(session, user_id)).value
    assert (own.name, own.timezone, own.locale, own.avatar_url) == ("Ada", None, None, None)


async def test_preferences_keep_their_types(pages: Pages) -> None:
    user_id = await pages.add_user()
    browser, path = pages.browser(user_id), "/profile/preferences"
    assert "No preferences" in (await browser.open(path)).text
    stored = {"theme": "dark", "digest": True, "rows": 50, "note": "x", "panes": [1, 2]}
    async with pages.transaction() as session:
        await pages.engines.profiles.update(session, user_id, preferences=stored)
    shown = (await browser.open(path)).text
    assert "[1, 2]" in shown
    given = {"theme": "light", "digest": "false", "rows": "20", "note": "", "panes": "none", "new": "1"}
    form = {"version": version_in(shown)} | {f"preference:{key}": value for key, value in given.items()}
    wrong = await browser.send(path, {**form, "preference:rows": "many"})
    assert (wrong.status_code, 'id="preference:rows-wrong"' in wrong.text) == (400, True)
    assert "Your preferences are saved." in (await browser.send(path, form)).text
    async with pages.reading() as session:
        own = (await pages.engines.profiles.own(session, user_id)).value
    assert own.preferences == {"theme": "light", "digest": False, "rows": 20, "panes": [1, 2]}
    assert (await browser.send(path, form)).status_code == 412


async def test_a_person_creates_a_project_and_switches(pages: Pages) -> None:
    browser = pages.browser(await pages.add_user())
    assert "You belong to no project yet" in (await browser.open("/memberships")).text
    await browser.open("/memberships/new")
    wrong = await browser.send("/memberships", {"name": " ", "slug": "", "description": ""})
    assert (wrong.status_code, 'id="name-wrong"' in wrong.text) == (400, True)
    for name in ("Acme & Sons", "Beta"):
        created = await browser.send("/memberships", {"name": name, "slug": "", "description": ""})
        assert "is created, and you own it." in created.text
    listed = await browser.open("/memberships?limit=1")
    assert "1 of 2 projects" in listed.text
    every = await browser.open("/memberships")
    assert "Acme &amp; Sons</a>" in every.text
    assert every.text.count('<span class="badge accent">Owner</span>') == 2


async def test_received_invitations_need_no_link(pages: Pages, team: Team) -> None:
    email = pages.new_email()
    invited = await pages.add_user(email)
    browser = pages.browser(invited)
    assert "No open invitation" in (await browser.open("/received-invitations")).text
    for decide in ("decline", "accept"):
        invitation_id, _ = await pages.invite(team.tenant_id, team.owner, email)
        path = f"/received-invitations/{team.tenant_id}/{invitation_id}"
        listed = await browser.open("/received-invitations")
        assert f"{MOUNT}{path}/accept" in listed.text
        stranger = pages.browser(team.viewer)
        await stranger.open("/memberships/new")
        assert (await stranger.send(f"{path}/{decide}")).status_code == 404
        if decide == "decline":
            await browser.open(f"{path}/decline")
        await browser.send(f"{path}/{decide}")
        role = await pages.role_of(team.tenant_id, invited)
        assert role == (None if decide == "decline" else "member")


async def test_ownership_is_offered_and_accepted_or_declined(pages: Pages, team: Team) -> None:
    place = f"/projects/{team.tenant_id}"
    owner, admin, viewer = (pages.browser(who) for who in (team.owner, team.admin, team.viewer))
    for ends_it, browser in (("cancel", owner), ("cancel", admin), ("accept", admin)):
        await owner.open(f"{place}/members/{team.admin}/offer-ownership")
        offered = await owner.send(f"{place}/members/{team.admin}/offer-ownership")
        assert "Withdraw the offer" in offered.text
        twice = await owner.send(f"{place}/members/{team.viewer}/offer-ownership")
        assert (twice.status_code, "is open already" in twice.text) == (409, True)
        assert "ownership is open" in (await admin.open(f"{place}/members")).text
        assert "ownership is open" not in (await viewer.open(f"{place}/members")).text
        assert (await viewer.open(f"{place}/ownership")).status_code == 404
        assert "Accept ownership" in (await admin.open(f"{place}/ownership")).text
        await browser.send(f"{place}/ownership/{ends_it}")
    roles = [await pages.role_of(team.tenant_id, who) for who in (team.owner, team.admin)]
    assert roles == ["admin", "owner"]


@pytest.mark.parametrize(
    "path", ["/profile", "/profile/sign-in", "/profile/preferences", "/memberships", "/received-invitations"]
)
async def test_own_pages_are_for_people_who_are_signed_in(pages: Pages, path: str) -> None:
    answer = await pages.browser().client.get(MOUNT + path)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://app.example.com/sign-in")


def test_the_links_of_mails_lead_to_pages_by_default() -> None:
    opened = {page.full_path for page in PAGES if page.method == "GET"}
    for pattern in (Settings().invitation_url, Settings().email_change_url):
        assert pattern.removeprefix("{public_url}").partition("#")[0] in opened
