"""A tenant's directory by SCIM, compared with its members by the JSON API: one request at a time."""

import asyncio
from functools import partial
from typing import Final
from urllib.parse import quote

import httpx
from filling import connected
from load import Request, Side, contest, middle, one_at_a_time, ratio
from report import Report, at_most
from scene import Scene
from servers import hoc

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import open_database, postgres_engines

TENANT: Final = "directory"
RESOURCES: Final = 100_000
GROUPS: Final = 2_000
LOOKUPS: Final = 2_000
PAGE: Final = 20
PAGES_DEEP: Final = 500
MIDDLE: Final = 10_000

# As hoc stores what Okta sends of a user.
_FILL: Final = f"""
    WITH tenant AS (
      INSERT INTO account.tenants (tenant_id, name, slug, max_members)
      VALUES ('{TENANT}', 'Directory', '{TENANT}', 1000000)
    ), claimed AS (
      INSERT INTO account.tenant_slugs (slug, tenant_id) VALUES ('{TENANT}', '{TENANT}')
    ), chosen AS (
      SELECT user_id, email, name, row_number() OVER (ORDER BY user_id) AS number
      FROM account.users WHERE is_active ORDER BY user_id LIMIT {RESOURCES - GROUPS}
    ), joined AS (
      INSERT INTO account.memberships (tenant_id, user_id, role)
      SELECT '{TENANT}', user_id, CASE number WHEN 1 THEN 'owner' ELSE 'member' END FROM chosen
      RETURNING role
    ), counted AS (
      INSERT INTO account.member_counts (tenant_id, role, members)
      SELECT '{TENANT}', kind, (SELECT count(*) FROM joined WHERE role = kind)
      FROM unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS kind
    ), users AS (
      INSERT INTO account.scim_users (tenant_id, resource_id, user_name, is_active, external_id, user_id,
        resource, compared)
      SELECT '{TENANT}', 'scu_' || md5(user_id), email, true, '00u' || number, user_id,
        jsonb_build_object('schemas', jsonb_build_array('urn:ietf:params:scim:schemas:core:2.0:User'),
          'userName', email, 'externalId', '00u' || number, 'displayName', name, 'active', true,
          'name', jsonb_build_object('givenName', name, 'familyName', name),
          'emails', jsonb_build_array(jsonb_build_object('value', email, 'type', 'work', 'primary', true))),
        jsonb_build_object('user_name', email, 'external_id', '00u' || number, 'display_name', lower(name),
          'active', true, 'name', jsonb_build_object('given_name', lower(name), 'family_name', lower(name)),
          'emails', jsonb_build_array(jsonb_build_object('value', email, 'type', 'work', 'primary', true)))
      FROM chosen RETURNING resource_id
    ), groups AS (
      INSERT INTO account.scim_groups (tenant_id, resource_id, display_name, resource, compared)
      SELECT '{TENANT}', 'scg_' || n, 'group ' || n,
        jsonb_build_object('schemas', jsonb_build_array('urn:ietf:params:scim:schemas:core:2.0:Group'),
          'displayName', 'Group ' || n), jsonb_build_object('display_name', 'group ' || n)
      FROM generate_series(1, {GROUPS}) AS n
    )
    INSERT INTO account.scim_counts (tenant_id, kind, resources)
    VALUES ('{TENANT}', 'User', (SELECT count(*) FROM users)), ('{TENANT}', 'Group', {GROUPS})"""
_LINK: Final = f"""
    INSERT INTO account.scim_group_members (tenant_id, group_id, member_id)
    SELECT '{TENANT}', 'scg_' || 1 + row_number() OVER () % {GROUPS}, resource_id
    FROM account.scim_users WHERE tenant_id = '{TENANT}'"""
_SOME: Final = f"""
    SELECT user_id, user_name, external_id FROM account.scim_users WHERE tenant_id = '{TENANT}'
    ORDER BY md5(user_name) LIMIT $1"""
_OWNER: Final = f"SELECT user_id FROM account.memberships WHERE tenant_id = '{TENANT}' AND role = 'owner'"


def measure(scene: Scene, report: Report) -> None:
    with scene.copies("scim") as [url]:
        owner, scim_token = asyncio.run(_fill(url))
        token = scene.keys.issue(owner, TENANT)
        some = scene.fetch(url, _SOME, LOOKUPS)
        with hoc(url, scene.place, scim="true") as server:
            cursors = _cursors(server.url, scim_token)
            deep = httpx.get(
                f"{server.url}/accounts/users",
                params={"limit": PAGE, "offset": PAGE * (len(cursors) // 2)},
                headers={"Authorization": f"Bearer {token}"},
            ).raise_for_status()
            pairs: dict[str, tuple[list[str], list[str]]] = {
                "a filter by userName / a member": (
                    [_filter("userName", one["user_name"]) for one in some],
                    [f"/{one['user_id']}" for one in some],
                ),
                "a filter by externalId / a member": (
                    [_filter("externalId", one["external_id"]) for one in some],
                    [f"/{one['user_id']}" for one in some],
                ),
                f"the first {PAGE} / as many members": ([f"?count={PAGE}"], [f"?limit={PAGE}"]),
                f"{PAGE} behind a cursor, {len(cursors)} pages deep / as many members": (
                    [f"?count={PAGE}&cursor={cursor}" for cursor in cursors[len(cursors) // 2 :]],
                    [f"?limit={PAGE}&cursor={deep.json()['next_cursor']}"],
                ),
                f"{PAGE} from index {MIDDLE} / as many members": (
                    [f"?count={PAGE}&startIndex={MIDDLE}"],
                    [f"?limit={PAGE}&offset={MIDDLE}"],
                ),
            }
            for name, (scim, console) in pairs.items():
                found = {
                    "SCIM": [Request("GET", f"/scim/v2/Users{path}", scim_token) for path in scim],
                    "JSON": [Request("GET", f"/accounts/users{path}", token) for path in console],
                }
                sides = [
                    Side(side, partial(one_at_a_time, scene.requests(server.url, requests)))
                    for side, requests in found.items()
                ]
                measured = contest(sides, rounds=scene.options.rounds, seconds=scene.options.seconds)
                times = [f"{side} {1_000 / middle(each).rate:.2f} ms" for side, each in measured.items()]
                report.add(
                    f"SCIM: time of {name}",
                    ratio(measured, "JSON", "SCIM"),
                    "x",
                    goal=at_most(3),
                    detail=", ".join(times),
                )


async def _fill(url: str) -> tuple[str, str]:
    """Make the tenant and its directory. Returns the owner's id and a token of the directory."""
    async with connected(url) as connection:
        await connection.execute(_FILL)
        await connection.execute(_LINK)
        await connection.execute("VACUUM (ANALYZE)")
        owner: str = await connection.fetchval(_OWNER)
    database = open_database(url)
    async with database.transaction() as session:
        made = await postgres_engines(Options()).scim_tokens.create(session, TENANT, owner, name="Benchmark")
    await database.close()
    return owner, made.token


def _cursors(url: str, token: str) -> list[str]:
    """The cursors of the first pages, one after the other."""
    cursors: list[str] = []
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        cursor = ""
        for _ in range(PAGES_DEEP):
            params = {"count": PAGE, "cursor": cursor}
            page = client.get(f"{url}/scim/v2/Users", params=params).raise_for_status()
            cursor = page.json().get("nextCursor")
            if cursor is None:
                break
            cursors.append(cursor)
    return cursors


def _filter(attribute: str, value: str) -> str:
    return "?filter=" + quote(f'{attribute} eq "{value}"')
