"""The console's pages: what they show, what their forms do, and what protects them."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from support.console import HOST, OPTIONAL_PARTS
from support.pages import HTML, MOUNT, Pages, serving_pages, version_in
from support.world import Team

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L2_api.pages.app import PAGES
from hoc.cus.account.L2_api.pages.development import sign_in_link
from hoc.cus.account.L2_api.pages.look import accent_style, parse_links
from hoc.cus.account.L5_schemas.values import Role
from hoc.server.app import Service
from hoc.settings import Settings


@pytest.fixture(scope="module")
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    directory = tmp_path_factory.mktemp("pages")
    async with serving_pages(database_url, directory, **OPTIONAL_PARTS) as pages:
        yield pages


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team()


async def role_of(pages: Pages, team: Team, user_id: str) -> str | None:
    async with pages.reading() as session:
        found = await pages.facade.members.get_user(session, team.tenant_id, user_id)
    return None if found is None else found.value.role


async def test_a_pages_headers_allow_nothing_from_elsewhere(pages: Pages, team: Team) -> None:
    answer = await pages.browser(team.owner).open(f"/projects/{team.tenant_id}/members")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


async def test_files_have_names_that_change_with_them(pages: Pages) -> None:
    browser = pages.browser()
    start = await browser.open("/")
    assert start.status_code == 401
    links = [part.split('"')[0] for part in start.text.split('"/console/static/')[1:]]
    assert len(links) == 2
    for name in links:
        answer = await browser.client.get(f"{MOUNT}/static/{name}")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await browser.open("/static/console.css")).status_code == 404


async def test_the_start_leads_to_a_tenant_or_says_what_to_do(pages: Pages, team: Team) -> None:
    answer = await pages.browser(team.viewer).open("/")
    assert answer.url.path == f"{MOUNT}/projects/{team.tenant_id}/members"
    stranger = await pages.browser(await pages.add_user()).open("/")
    assert stranger.status_code == 200
    assert "You belong to no project yet" in stranger.text


async def test_an_owner_changes_a_members_role(pages: Pages, team: Team) -> None:
    browser, path = pages.browser(team.owner), f"/projects/{team.tenant_id}/members/{team.member}"
    version = version_in((await browser.open(path)).text)
    answer = await browser.send(f"{path}/role", {"role": "admin", "version": version})
    assert answer.status_code == 200
    assert "now has the role admin." in answer.text
    assert await role_of(pages, team, team.member) == "admin"
    again = await browser.open(path)
    assert "now has the role admin." not in again.text, "the message is shown once"
    stale = await browser.send(f"{path}/role", {"role": "viewer", "version": version})
    assert (stale.status_code, "Stored now: admin" in stale.text) == (412, True)


async def test_a_refusal_is_shown_beside_its_field(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.owner)
    await browser.open(f"/projects/{team.tenant_id}/invitations/new")
    fields = {"email": "no address", "role": "viewer", "expires_in_days": "7"}
    answer = await browser.send(f"/projects/{team.tenant_id}/invitations", fields)
    assert answer.status_code == 400
    assert 'id="email-wrong"' in answer.text
    assert 'value="no address"' in answer.text
    assert '<option value="viewer" selected>' in answer.text


async def test_an_invitation_is_sent_resent_and_revoked(pages: Pages, team: Team) -> None:
    browser, place = pages.browser(team.admin), f"/projects/{team.tenant_id}/invitations"
    await browser.open(f"{place}/new")
    fields = {"email": "ada@example.com", "role": "member", "expires_in_days": "14"}
    answer = await browser.send(place, fields)
    assert "ada@example.com is invited." in answer.text
    twice = await browser.send(place, fields)
    assert twice.status_code == 409
    assert "An invitation to this address is pending." in twice.text
    [invitation_id] = set(re.findall(rf"{place}/(inv_\w+)/", answer.text))
    assert "A new link is on its way" in (await browser.send(f"{place}/{invitation_id}/resend")).text
    await browser.open(f"{place}/{invitation_id}/revoke")
    revoked = await browser.send(f"{place}/{invitation_id}/revoke")
    assert "is revoked." in revoked.text


async def test_a_member_leaves_and_an_admin_removes_one(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.member)
    await browser.open(f"/projects/{team.tenant_id}/leave")
    answer = await browser.send(f"/projects/{team.tenant_id}/leave")
    assert "You have left the project." in answer.text
    assert await role_of(pages, team, team.member) is None
    admin = pages.browser(team.admin)
    await admin.open(f"/projects/{team.tenant_id}/members/{team.viewer}/remove")
    await admin.send(f"/projects/{team.tenant_id}/members/{team.viewer}/remove")
    assert await role_of(pages, team, team.viewer) is None


async def test_a_form_needs_the_token_of_this_browser_and_person(pages: Pages, team: Team) -> None:
    path = f"/projects/{team.tenant_id}/members/{team.member}/role"
    for token_of in ("nobody", "another browser", "another person"):
        browser = pages.browser(team.owner)
        await browser.open(f"/projects/{team.tenant_id}/members")
        cookies = dict(browser.client.cookies)
        if token_of == "nobody":
            browser.token = ""
        elif token_of == "another browser":
            other = pages.browser(team.owner)
            await other.open(f"/projects/{team.tenant_id}/invitations/new")
            browser.token = other.token
        else:
            other = pages.browser(team.admin)
            other.client.cookies.update(cookies)
            await other.open(f"/projects/{team.tenant_id}/invitations/new")
            browser.token = other.token
        answer = await browser.send(path, {"role": "admin"})
        assert (answer.status_code, token_of) == (403, token_of)
        assert "This form is out of date" in answer.text
    assert await role_of(pages, team, team.member) == Role.MEMBER


async def test_a_foreign_pages_form_is_refused(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.owner)
    await browser.open(f"/projects/{team.tenant_id}/members/{team.member}")
    path = f"/projects/{team.tenant_id}/members/{team.member}/role"
    foreign = {"sec-fetch-site": "cross-site", "cookie": "a=b"}
    answer = await browser.send(path, {"role": "admin"}, headers=foreign)
    assert answer.status_code == 403
    assert await role_of(pages, team, team.member) == Role.MEMBER


async def test_a_strangers_tenant_is_not_shown(pages: Pages, team: Team) -> None:
    other = await pages.team()
    browser = pages.browser(other.owner)
    for page in PAGES:
        if page.method == "GET" and page.full_path.startswith("/projects/"):
            path = page.full_path.format(
                tenant_id=team.tenant_id,
                user_id=team.member,
                invitation_id="inv_0",
                ticket_id="tic_0",
                domain="acme.example",
                token_id="sct_0",
                endpoint_id="wh_0",
            )
            answer = await browser.open(path)
            assert answer.status_code == 403, path
            assert "You are not a member of this tenant." in answer.text


async def test_a_viewer_sees_no_buttons_for_what_viewers_may_not(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.viewer)
    listed = (await browser.open(f"/projects/{team.tenant_id}/members")).text
    assert ">Invitations<" not in listed
    assert "Invite" not in listed
    shown = (await browser.open(f"/projects/{team.tenant_id}/members/{team.member}")).text
    assert "Remove" not in shown
    refused = await browser.open(f"/projects/{team.tenant_id}/invitations")
    assert refused.status_code == 403
    assert ">Members<" in refused.text, "the navigation is still there"


async def test_a_list_goes_on_by_its_cursor(pages: Pages, team: Team) -> None:
    browser = pages.browser(team.owner)
    first = await browser.open(f"/projects/{team.tenant_id}/members?limit=3&role=&status=active")
    assert "3 of 4 members" in first.text
    following = first.text.split('rel="next"')[0].rpartition('href="')[2].split('"')[0]
    second = await browser.open(following.removeprefix(MOUNT).replace("&amp;", "&"))
    assert "First page" in second.text
    wrong = await browser.open(f"/projects/{team.tenant_id}/members?role=boss")
    assert wrong.status_code == 400


async def test_programs_get_problem_documents(pages: Pages) -> None:
    answer = await pages.browser().client.get(f"{MOUNT}/nowhere", headers={"accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_a_development_link_signs_in_once(database_url: str, tmp_path: Path) -> None:
    service = Service(Settings(database_url=SecretStr(database_url), data_dir=tmp_path, development=True))
    keys = DevelopmentKeys(tmp_path / "development-key.pem")
    async with service.router.lifespan_context(service.router):
        statuses: list[int] = []
        for code in (sign_in_link(keys, "", "usr_1", None, []).partition("#")[2], keys.issue("usr_1")):
            for _ in range(2):
                transport = httpx.ASGITransport(service)
                async with httpx.AsyncClient(
                    transport=transport, base_url="http://127.0.0.1", headers={"accept": "text/html"}
                ) as client:
                    form = (await client.get("/", follow_redirects=True)).text
                    token = form.split('name="csrf_token" value="')[1].split('"')[0]
                    fields = {"csrf_token": token, "code": code}
                    answer = await client.post("/sign-in", data=fields)
                    statuses.append(answer.status_code)
                    if answer.status_code == 303:
                        cookie = answer.headers["set-cookie"]
                        assert "HttpOnly" in cookie
                        assert "SameSite=lax" in cookie
                        assert (await client.get("/")).status_code == 200
    assert statuses == [303, 400, 400, 400], "an access token is no code"


async def test_a_gateway_tells_who_opens_the_pages(
    pages: Pages, team: Team, database_url: str, tmp_path: Path
) -> None:
    given: dict[str, object] = {
        "database_url": database_url,
        "data_dir": tmp_path,
        "development": False,
        "console": True,
        "console_secret": "s" * 32,
        "console_sign_in_url": "https://app.example.com/sign-in",
        "gateway_secret": "a secret of the gateway",
    }
    service = Service(Settings.model_validate(given))
    of_admin = {"x-hoc-gateway-secret": "a secret of the gateway", "x-hoc-user-id": team.owner}
    async with (
        service.router.lifespan_context(service.router),
        httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url=HOST, headers=HTML) as client,
    ):
        nobody = await client.get("/")
        assert (nobody.status_code, nobody.headers["location"]) == (303, "https://app.example.com/sign-in")
        forged = await client.get("/", headers=of_admin | {"x-hoc-gateway-secret": "a guess of the secret"})
        assert (forged.status_code, team.tenant_id in forged.text) == (303, False)
        shown = await client.get("/", headers=of_admin, follow_redirects=True)
        assert shown.url.path == f"/projects/{team.tenant_id}/members"
        assert "Administration" not in shown.text
        path = f"/projects/{team.tenant_id}/members/{team.member}"
        form = (await client.get(path, headers=of_admin)).text
        token = form.split('name="csrf_token" value="')[1].split('"')[0]
        fields = {"csrf_token": token, "role": "viewer", "version": version_in(form)}
        assert (await client.post(f"{path}/role", data=fields)).status_code in {401, 403}
        assert (await client.post(f"{path}/role", data=fields, headers=of_admin)).status_code == 303
    assert await role_of(pages, team, team.member) == "viewer"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "HOC_CONSOLE_SECRET"),
        ({"console_secret": "short"}, "HOC_CONSOLE_SECRET"),
        ({"console_accent": "blue"}, "HOC_CONSOLE_ACCENT"),
        ({"console_links": "Docs"}, "HOC_CONSOLE_LINKS"),
        ({"console_templates": Path("/nowhere")}, "HOC_CONSOLE_TEMPLATES"),
    ],
)
def test_a_wrong_setting_of_the_pages_is_refused_at_start(
    tmp_path: Path, given: dict[str, object], message: str
) -> None:
    settings = {"database_url": "postgresql://user@127.0.0.1/none", "send_mail": False}
    secret = {"console_secret": "s" * 32} if given else {}
    backend = DevelopmentKeys(tmp_path / "key.pem").backend()
    with pytest.raises(ValueError, match=message):
        Accounts(Settings.model_validate(settings | secret | given), pages_authentication=backend)


async def test_a_host_replaces_a_template_and_the_look(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "welcome.html").write_text(
        '{% extends "base.html" %}{% block content %}Hello{% endblock %}'
    )
    settings = {"console_templates": tmp_path / "mine", "console_name": "Acme", "console_accent": "#ffdd00"}
    async with serving_pages(
        database_url, tmp_path, console_links="Docs=https://docs.example.com", **settings
    ) as pages:
        browser = pages.browser(await pages.add_user())
        shown = (await browser.open("/")).text
        assert "Hello" in shown
        assert "<title>Welcome · Acme</title>" in shown
        assert '<a href="https://docs.example.com">Docs</a>' in shown
    (tmp_path / "mine" / "nothing.html").write_text("")
    with pytest.raises(ValueError, match=r"nothing\.html replaces no template"):
        async with serving_pages(database_url, tmp_path, **settings):
            pass


def test_an_accent_has_variants_that_can_be_read() -> None:
    style = accent_style("#ffdd00")
    assert "--on-accent:#000000" in style
    assert "--accent-on-light:#ffdd00" not in style
    assert "--accent-on-dark:#ffdd00" in style
    assert parse_links("A=https://a.example, B = mailto:b@example.com") == [
        ("A", "https://a.example"),
        ("B", "mailto:b@example.com"),
    ]
