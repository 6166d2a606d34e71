"""The pages of every list: their bounds, and that a cursor is valid for one list only."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.port_types import Page

Fetch = Callable[..., Awaitable[Page[Any]]]


def lists_of(world: World, tenant_id: str, user_id: str, session: Any) -> dict[str, Fetch]:
    engines = world.engines
    return {
        "projects": partial(engines.projects.list, session, tenant_id),
        "users": partial(engines.members.list_users, session, tenant_id),
        "members": partial(engines.members.list_users, session, tenant_id, role="member"),
        "inactive": partial(engines.members.list_users, session, tenant_id, status="inactive"),
        "tenant users": partial(engines.members.list_tenant_users, session, tenant_id),
        "memberships": partial(engines.members.list_memberships, session, user_id),
        "received": partial(engines.received_invitations.list, session, user_id),
        "invoices": partial(engines.billing.list_invoices, session, tenant_id),
        "tickets": partial(engines.support.list_tickets, session, tenant_id),
        "open tickets": partial(engines.support.list_tickets, session, tenant_id, status="open"),
        "invitations": partial(engines.invitations.list, session, tenant_id, user_id),
        "pending": partial(engines.invitations.list, session, tenant_id, user_id, status="pending"),
    }


async def filled(world: World) -> tuple[str, str]:
    """A tenant with more than one row in most of its lists."""
    email = world.new_email()
    tenant_id, owner = await world.tenant(await world.add_user(email))
    await world.tenant(owner)
    for _ in range(2):
        await world.join(tenant_id, owner)
        await world.invite(*await world.tenant(), email)
        await world.invite(tenant_id, owner)
        async with world.transaction() as session:
            await world.engines.support.create_ticket(session, tenant_id, owner, subject="S", description="D")
    return tenant_id, owner


@pytest.mark.parametrize(
    "page",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 101},
        {"limit": 2**63},
        {"offset": -1},
        {"offset": 10_001},
        {"offset": 2**63},
        {"cursor": ""},
        {"cursor": "x"},
        {"cursor": "=" * 7},
        {"cursor": "ü"},
        {"cursor": "\x00"},
        {"cursor": "\ud800"},
        {"cursor": "A" * 2_000},
    ],
)
async def test_no_list_gives_a_page_out_of_bounds(world: World, page: dict[str, Any]) -> None:
    tenant_id, owner = await world.tenant()
    async with world.reading() as session:
        for fetch in lists_of(world, tenant_id, owner, session).values():
            with pytest.raises(InvalidInputError):
                await fetch(**page)


async def test_the_widest_page_is_given(world: World) -> None:
    tenant_id, owner = await filled(world)
    async with world.reading() as session:
        for fetch in lists_of(world, tenant_id, owner, session).values():
            assert (await fetch(limit=100)).next_cursor is None
            beyond = await fetch(limit=1, offset=10_000)
            assert beyond.next_cursor is None
            assert beyond.value.total == (await fetch()).value.total, "a total is there for an empty page too"


async def test_a_cursor_is_good_for_its_own_list_only(world: World) -> None:
    tenant_id, owner = await filled(world)
    other_id, other = await filled(world)
    async with world.reading() as session:
        lists = lists_of(world, tenant_id, owner, session)
        foreign = lists_of(world, other_id, other, session)
        cursors = {name: (await fetch(limit=1)).next_cursor for name, fetch in lists.items()}
        assert {name for name, cursor in cursors.items() if cursor is None} == {
            "projects",
            "inactive",
            "invoices",
        }
        for origin, cursor in cursors.items():
            if cursor is None:
                continue
            await lists[origin](cursor=cursor, limit=50)  # the page size may be another
            for name, fetch in (
                lists | {f"foreign {name}": fetch for name, fetch in foreign.items()}
            ).items():
                if name != origin:
                    with pytest.raises(InvalidInputError):
                        await fetch(cursor=cursor)
            with pytest.raises(InvalidInputError):
                await lists[origin](cursor=cursor, offset=1)


async def test_a_forged_cursor_is_refused(world: World) -> None:
    tenant_id, owner = await filled(world)
    async with world.reading() as session:
        users = lists_of(world, tenant_id, owner, session)["users"]
        cursor = (await users(limit=1)).next_cursor
        assert cursor is not None
        await users(cursor=cursor)
        forged: list[object] = [
            [],
            {},
            None,
            ["0" * 16, "2026-03-14T10:00:00+00:00", "usr"],
            ["0" * 16, "2026-03-14T10:00:00+00:00"],
            [1, 2, 3],
        ]
        for parts in forged:
            with pytest.raises(InvalidInputError):
                await users(cursor=_encoded(parts))
        for mutated in (cursor[:-4], cursor.swapcase(), cursor[4:]):
            with pytest.raises(InvalidInputError):
                await users(cursor=mutated)


async def test_tampering_inside_a_cursor_reads_no_other_list(world: World) -> None:
    """A forged cursor can move the position, but never leaves the tenant."""
    tenant_id, owner = await filled(world)
    await filled(world)
    async with world.reading() as session:
        users = lists_of(world, tenant_id, owner, session)["users"]
        cursor = (await users(limit=1)).next_cursor
        assert cursor is not None
        fingerprint = orjson.loads(_decoded(cursor))[0]
        everybody = (await users()).value.items
        start = [fingerprint, "0001-01-01T00:00:00+00:00", "0"]
        assert (await users(cursor=_encoded(start))).value.items == everybody
        end = [fingerprint, "9999-12-31T23:59:59+00:00", "z" * 255]
        assert (await users(cursor=_encoded(end))).value.items == []
        for bad in (
            [fingerprint, "yesterday", "a"],
            [fingerprint, "2026-03-14T10:00:00", "a"],
            [fingerprint, "2026-03-14T10:00:00+00:00", "a\x00"],
            [fingerprint, "2026-03-14T10:00:00+00:00", ""],
            [fingerprint, "2026-03-14T10:00:00+00:00", "a" * 256],
            [fingerprint, "2026-03-14T10:00:00+00:00", 7],
            [fingerprint, "2026-03-14T10:00:00+00:00", None],
            [fingerprint, "2026-03-14T10:00:00+00:00", ["a"]],
            [fingerprint, 5, "a"],
            [fingerprint, "9999-12-31T23:59:59-14:00", "a"],
            [fingerprint, "0001-01-01T00:00:00+14:00", "a"],
        ):
            with pytest.raises(InvalidInputError):
                await users(cursor=_encoded(bad))


def _decoded(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def _encoded(parts: object) -> str:
    return urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()
