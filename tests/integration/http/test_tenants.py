"""Tenants through the eyes of an operator."""

from support.console import HOST, IDENTITY_MOUNT, Console, problem_of
from support.world import NOWHERE, Team

TENANTS = f"{HOST}{IDENTITY_MOUNT}/tenants"


async def test_an_operator_leads_a_tenant_through_its_life(console: Console, team: Team) -> None:
    url, operator = f"{TENANTS}/{team.tenant_id}", console.scoped("accounts:admin")
    owner = console.as_(team.owner, team.tenant_id)

    async def put(status: str) -> int:
        answer = await console.client.put(f"{url}/status", json={"status": status}, headers=operator)
        assert answer.status_code != 200 or answer.json()["status"] == status
        return answer.status_code

    async def of_the_owner() -> list[int]:
        """Of a read and a write."""
        path = f"/projects/{team.tenant_id}"
        write = await console.client.put(path, json={"name": "Mine"}, headers=owner)
        return [(await console.client.get(path, headers=owner)).status_code, write.status_code]

    assert await of_the_owner() == [200, 200]
    assert (await put("suspended"), await of_the_owner()) == (200, [200, 403])
    assert (await put("active"), await of_the_owner()) == (200, [200, 200])
    assert await put("archived") == 409
    assert (await put("terminated"), await of_the_owner()) == (200, [403, 403])
    assert await put("active") == 409
    assert (await put("archived"), await put("archived")) == (200, 200)
    read = await console.client.get(url, headers=operator)
    assert (read.json()["status"], read.json()["name"]) == ("archived", "Mine")
    changes = [
        (event.data["status"], event.actor)
        for event in await console.events(tenant_id=team.tenant_id)
        if event.type == "tenant.status_changed"
    ]
    by = changes[0][1]
    assert changes == [(status, by) for status in ("suspended", "active", "terminated", "archived")]
    assert by is not None


async def test_a_change_needs_a_tenant_a_status_and_its_version(console: Console, team: Team) -> None:
    operator, url = console.scoped("accounts:admin"), f"{TENANTS}/{team.tenant_id}"
    suspended = {"status": "suspended"}
    missing = await console.client.put(f"{TENANTS}/{NOWHERE}/status", json=suspended, headers=operator)
    unread = await console.client.get(f"{TENANTS}/{NOWHERE}", headers=operator)
    for answer in (missing, unread):
        assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")
    unknown = await console.client.put(f"{url}/status", json={"status": "paused"}, headers=operator)
    assert problem_of(unknown)["errors"][0]["pointer"] == "/status"
    tag = (await console.client.get(url, headers=operator)).headers["etag"]
    of_member = await console.client.get(
        f"/projects/{team.tenant_id}", headers=console.as_(team.owner, team.tenant_id)
    )
    statuses = [
        (
            await console.client.put(f"{url}/status", json=suspended, headers=operator | {"If-Match": match})
        ).status_code
        for match in (of_member.headers["etag"], tag, tag)
    ]
    assert statuses == [412, 200, 412], "the version is that of the tenant, read by the operator"


async def test_an_operator_finds_a_tenants_members_and_tickets(console: Console) -> None:
    team, other = await console.team(), await console.team()
    operator, support = console.scoped("accounts:admin"), console.scoped("accounts:support")
    async with console.transaction() as session:
        ticket = await console.facade.support.create_ticket(
            session, other.tenant_id, other.owner, subject="S", description="D", priority="urgent"
        )
    url = f"{TENANTS}/{team.tenant_id}/users"
    viewers = await console.client.get(url, params={"role": "viewer"}, headers=operator)
    assert [each["user_id"] for each in viewers.json()["items"]] == [team.viewer]
    missing = await console.client.get(f"{TENANTS}/{NOWHERE}/users", headers=operator)
    assert missing.status_code == 404
    assert (await console.client.get(url, headers=support)).status_code == 403
    urgent = f"{HOST}{IDENTITY_MOUNT}/tickets?priority=urgent&limit=1"
    [listed] = (await console.client.get(urgent, headers=support)).json()["tickets"]
    assert (listed["id"], listed["tenant_id"]) == (ticket.id, other.tenant_id)
