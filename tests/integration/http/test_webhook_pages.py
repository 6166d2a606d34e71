"""The pages of a tenant's webhook endpoints, with attempts as a sender records them."""

import re
from collections.abc import AsyncGenerator

import pytest
from support.console import WEBHOOKS
from support.pages import Pages, serving_pages, version_in
from support.webhooks import URL, Deliverer
from support.world import Team

from hoc.cus.account.L2_api.pages.tenant.webhooks import DISABLED, NO_ANSWER, TENANT_EVENTS
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookError

QUOTAS = "tenant.quotas_changed"


@pytest.fixture
async def pages(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pages]:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages"), **WEBHOOKS) as served:
        yield served


@pytest.fixture
async def team(pages: Pages) -> Team:
    return await pages.team()


async def endpoint(pages: Pages, team: Team) -> str:
    """The id of an endpoint that is sent only quotas' changes."""
    async with pages.transaction() as session:
        made = await pages.engines.webhooks.create(
            session, team.tenant_id, team.owner, url=URL, event_types=[QUOTAS]
        )
    return made.endpoint_id


async def happen(pages: Pages, team: Team, quota: int) -> None:
    async with pages.transaction() as session:
        await pages.engines.projects.override_quotas(session, team.tenant_id, max_workers=quota)


async def test_an_endpoint_is_created_and_changed(pages: Pages, team: Team) -> None:
    place, admin = f"/projects/{team.tenant_id}/webhooks", pages.browser(team.admin)
    assert "No endpoint yet" in (await admin.open(place)).text
    await admin.open(f"{place}/new")
    form = {"url": "http://10.0.0.1/", "description": "<Ours>", "event_types": [QUOTAS, "member.joined"]}
    refused = await admin.send(place, form)
    assert "ust be an https URL" in refused.text
    assert set(re.findall(r'value="([\w.]+)" checked', refused.text)) == {QUOTAS, "member.joined"}
    made = await admin.send(place, form | {"url": URL})
    [secret] = re.findall(r"whsec_[\w+/=]+", made.text)
    assert made.headers["cache-control"] == "no-store"
    listed = (await admin.open(place)).text
    assert ("&lt;Ours&gt;" in listed, "2 types" in listed, secret in listed) == (True, True, False)
    [endpoint_id] = set(re.findall(r"wh_\w+", listed))
    shown = (await admin.open(f"{place}/{endpoint_id}")).text
    assert ("Project quotas changed" in shown, secret in shown) == (True, False)
    change = f"{place}/{endpoint_id}/change"
    version = version_in((await admin.open(change)).text)
    given = {"url": f"{URL}/2", "description": "", "version": version}
    changed = (await admin.send(change, given)).text
    assert ("The change is saved." in changed, f"{URL}/2" in changed) == (True, True)
    async with pages.reading() as session:
        found = await pages.engines.webhooks.get(session, team.tenant_id, team.owner, endpoint_id)
    assert (found.value.event_types, found.value.description) == (None, None)
    stale = await admin.send(change, given | {"url": URL})
    assert (stale.status_code, "changed this meanwhile" in stale.text) == (412, True)


async def test_a_secret_is_rotated_and_shown_once(pages: Pages, team: Team) -> None:
    endpoint_id, owner = await endpoint(pages, team), pages.browser(team.owner)
    place = f"/projects/{team.tenant_id}/webhooks/{endpoint_id}"
    await owner.open(f"{place}/secret")
    refused = await owner.send(f"{place}/secret", {"overlap_hours": "169"})
    assert "ust be 0 to 168" in refused.text
    made = (await owner.send(f"{place}/secret", {"overlap_hours": "24"})).text
    [secret] = re.findall(r"whsec_[\w+/=]+", made)
    assert "The old one signs until" in made
    shown = (await owner.open(place)).text
    assert ("The old secret signs until" in shown, secret in shown) == (True, False)
    leased = await Deliverer(pages).lease(team.tenant_id, endpoint_id)
    assert (leased.secrets[0], len(leased.secrets)) == (secret, 2)


async def test_attempts_are_shown_and_sent_again(pages: Pages, team: Team) -> None:
    endpoint_id, owner = await endpoint(pages, team), pages.browser(team.owner)
    place = f"/projects/{team.tenant_id}/webhooks/{endpoint_id}"
    assert "No attempt yet" in (await owner.open(place)).text
    await happen(pages, team, 5)
    deliverer = Deliverer(pages)
    for status in (None, *[422] * 10):
        await deliverer.record(await deliverer.lease(team.tenant_id, endpoint_id), status)
    shown = (await owner.open(f"{place}?limit=10")).text
    assert "The endpoint refused these events ten times." in shown
    assert ("10 attempts on this page" in shown, "12 ms" in shown, "No answer in time" in shown) == (
        True, True, False,
    )  # fmt: skip
    following = shown.split("rel=next")[0].rpartition('href="/console')[2].split('"')[0]
    assert "No answer in time" in (await owner.open(following.replace("&amp;", "&"))).text
    [event_id] = set(re.findall(r"events/([\w-]+)/send", shown))
    assert "sent once more" in (await owner.send(f"{place}/events/{event_id}/send")).text
    unknown = await owner.send(f"{place}/events/evt_0/send")
    assert (unknown.status_code, "No attempt to deliver such an event" in unknown.text) == (404, True)
    assert "A test will be sent" in (await owner.send(f"{place}/test")).text


async def test_an_endpoint_is_disabled_enabled_and_deleted(pages: Pages, team: Team) -> None:
    endpoint_id, owner = await endpoint(pages, team), pages.browser(team.owner)
    place = f"/projects/{team.tenant_id}/webhooks/{endpoint_id}"
    await owner.open(place)
    for start, waiting in (("missed", 1), ("now", 0)):
        disabled = (await owner.send(f"{place}/disable")).text
        assert "Somebody here disabled it." in disabled
        await happen(pages, team, 6 + waiting)
        deliverer = Deliverer(pages)
        await deliverer.lease(team.tenant_id, endpoint_id)
        assert "is enabled" in (await owner.send(f"{place}/enable", {"start": start})).text
        leased = await deliverer.lease(team.tenant_id, endpoint_id)
        assert len(await deliverer.pending(leased)) == waiting
        await deliverer.record(leased, 200)
    assert "Delete this endpoint?" in (await owner.open(f"{place}/delete")).text
    deleted = (await owner.send(f"{place}/delete")).text
    assert ("is deleted" in deleted, "No endpoint yet" in deleted) == (True, True)
    assert (await owner.open(place)).status_code == 404


async def test_members_have_no_page_of_webhooks(pages: Pages, team: Team) -> None:
    endpoint_id, member = await endpoint(pages, team), pages.browser(team.member)
    place = f"/projects/{team.tenant_id}/webhooks"
    assert ">Webhooks<" not in (await member.open(f"/projects/{team.tenant_id}/members/{team.member}")).text
    for path in (
        "",
        f"/{endpoint_id}",
        *(f"/{endpoint_id}/{each}" for each in ("change", "secret", "delete")),
    ):
        assert (await member.open(place + path)).status_code == 403, path
    form = {"url": URL, "version": "1", "start": "now", "overlap_hours": "0"}
    sent = {
        "": ["url"],
        f"/{endpoint_id}/change": ["url", "version"],
        f"/{endpoint_id}/secret": ["overlap_hours"],
        f"/{endpoint_id}/enable": ["start"],
        f"/{endpoint_id}/disable": [],
        f"/{endpoint_id}/delete": [],
        f"/{endpoint_id}/test": [],
        f"/{endpoint_id}/events/evt_0/send": [],
    }
    for path, names in sent.items():
        answer = await member.send(place + path, {name: form[name] for name in names})
        assert answer.status_code == 403, path
        assert "whsec_" not in answer.text
    async with pages.reading() as session:
        found = await pages.engines.webhooks.list(session, team.tenant_id, team.owner)
    assert [(each.url, each.status) for each in found.value.webhooks] == [(URL, "enabled")]


async def test_without_webhooks_there_is_no_such_page(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with serving_pages(database_url, tmp_path_factory.mktemp("pages")) as served:
        team = await served.team()
        owner = served.browser(team.owner)
        assert ">Webhooks<" not in (await owner.open(f"/projects/{team.tenant_id}/members")).text
        assert (await owner.open(f"/projects/{team.tenant_id}/webhooks")).status_code == 404


def test_each_reason_has_words() -> None:
    assert DISABLED.keys() == set(WebhookDisabled)
    assert NO_ANSWER.keys() == set(WebhookError)
    assert "member.joined" in TENANT_EVENTS
    assert "user.created" not in TENANT_EVENTS
