"""The rows and events of one operation carry one time: the engine's clock, as the operation first read it."""

import inspect
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, get_type_hints

import pytest
from support.event_scene import Scene, build_scene
from support.events import parsed
from support.mutations import ACCOUNT_MUTATIONS, APRIL, MARCH, MUTATIONS, PREPARED
from support.world import World

from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest

READS = {
    "projects": {"list", "get"},
    "members": {"list_users", "list_tenant_users", "get_user", "list_memberships"},
    "ownership": {"get"},
    "profiles": {"get", "own"},
    "billing": {"summary", "list_invoices"},
    "usage": {"by_day"},
    "support": {"list_tickets", "list_all_tickets", "get_ticket", "list_replies"},
    "invitations": {"list", "get"},
    "received_invitations": {"list", "preview", "opened"},
    "domains": {"list", "get"},
    "joining": {"list_joinable", "list_requests"},
    "scim_tokens": {"list", "get", "authenticate"},
    "scim_group_roles": {"list", "roles_by_group", "role_of"},
    "webhooks": {"list", "get", "list_attempts", "list_set_aside"},
    "erasure": {"list_erased_users", "list_erased_tenants", "export_user", "export_tenant"},
    "audit": {"list", "names"},
    "operators": {"get_account", "get_statistics", "list_tenants", "list_dead_letters"},
    "accounts": {
        "get_account_profile",
        "get_account_by_email",
        "get_versioned_profile",
        "get_versioned_profile_by_email",
        "list_accounts",
        "search_accounts",
        "get_service_stats",
        "list_identities",
        "pending_email_change",
        "health_check",
    },
}

# It marks dead letters, and writes no time.
WITHOUT_TIME = {"operators.retry_dead_letters"}

# They need a directory's resources: test_provisioning.py calls them.
CALLED_ELSEWHERE = {
    "provisioning.begin",
    "provisioning.user_written",
    "provisioning.user_removed",
    "provisioning.groups_changed",
}

ERASURES: dict[str, Callable[[Scene, Any], Awaitable[object]]] = {
    "erase_user": lambda it, session: it.world.engines.erasure.erase_user(session, it.team.viewer),
    "erase_deleted_user": lambda it, session: it.world.engines.erasure.erase_deleted_user(
        session, it.invited, deleted_before=it.world.clock.now
    ),
    "erase_tenant": lambda it, session: it.world.engines.erasure.erase_tenant(session, it.team.tenant_id),
}
EMPTIED = frozenset(
    {"subject", "description", "resolution", "text", "email", "email_key", "token_hash", "delivery_error"}
)
"""To empty what stays of tickets and invitations is no update of them."""

# They change without ``updated_at``: a membership's copies of its account, and what a sign-in leaves.
# Nor does it change the domain to check it, or an endpoint to send to it.
WITHOUT_UPDATE = {
    "is_active",
    "searched",
    "is_claimed",
    "last_login_at",
    "oauth_provider",
    "next_check_at",
    "due_at",
    "is_woken",
}

# A change of an address is none until it is confirmed.
WITHOUT_EVENT = {
    "usage.record",
    "leases.acquire",
    "leases.renew",
    "leases.release",
    "cancel_email_change",
    "email_change_link",
    "domains.request_check",
    "scim_tokens.record_use",
    "webhooks.send_test",
    "webhooks.send_again",
}

# How far after an operation is what it lets expire.
TERMS = {"update_own_profile": timedelta(hours=24), "scim_tokens.create": timedelta(days=365)}

GIVEN = {
    "period_start": MARCH,
    "current_period_start": MARCH,
    "period_end": APRIL,
    "current_period_end": APRIL,
}


def test_every_operation_is_a_read_or_in_the_list() -> None:
    kinds = get_type_hints(Engines) | {"accounts": AccountService}
    operations = {
        f"{engine}.{name}"
        for engine, kind in kinds.items()
        for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    reads = {f"{engine}.{name}" for engine, names in READS.items() for name in names}
    called = {name.partition(" ")[0] for name in MUTATIONS} | {
        f"accounts.{name}" for name in ACCOUNT_MUTATIONS
    }
    erasures = {f"erasure.{name}" for name in ERASURES}
    assert called | reads | erasures | WITHOUT_TIME | CALLED_ELSEWHERE == operations
    assert not called & reads


@pytest.mark.parametrize("mutation", [*MUTATIONS, *ACCOUNT_MUTATIONS])
async def test_rows_and_events_have_the_operations_one_time(empty_world: World, mutation: str) -> None:
    """The clock goes on with each reading, so that a second reading would be seen, too."""
    world = empty_world
    scene = await build_scene(world)
    if mutation in PREPARED:
        async with world.transaction() as session:
            await PREPARED[mutation](scene, session)
    if mutation in {"cancel_email_change", "confirm_email_change", "email_change_link"}:
        await world.accounts.update_own_profile(
            scene.team.member, AccountUpdateRequest(email=world.new_email())
        )
    if mutation == "unlink_identity":
        await world.accounts.link_identity(scene.team.member, "linked")
    world.clock.advance(hours=23)
    before, known, now = await world.rows(), await world.events(), world.clock.now
    world.clock.step = timedelta(seconds=1)
    if mutation in ACCOUNT_MUTATIONS:
        await ACCOUNT_MUTATIONS[mutation](scene)
    else:
        async with world.transaction() as session:
            await MUTATIONS[mutation](scene, session)
    happened = await one_time(world, before, known, now, TERMS.get(mutation, timedelta(days=7)))
    assert happened is (mutation not in WITHOUT_EVENT)


@pytest.mark.parametrize("erasure", ERASURES)
async def test_an_erasure_has_one_time(empty_world: World, erasure: str) -> None:
    world = empty_world
    scene = await build_scene(world)
    await world.deactivate(scene.invited, deleted=True)
    if erasure == "erase_tenant":
        await world.suspend(scene.team.tenant_id, "terminated")
    world.clock.advance(hours=23)
    before, known, now = await world.rows(), await world.events(), world.clock.now
    world.clock.step = timedelta(seconds=1)
    async with world.transaction() as session:
        await ERASURES[erasure](scene, session)
    assert await one_time(world, before, known, now, timedelta(days=7), emptied=EMPTIED)


async def one_time(
    world: World,
    before: dict[Any, dict[str, Any]],
    known: list[Any],
    now: datetime,
    term: timedelta,
    *,
    emptied: frozenset[str] = frozenset(),
) -> bool:
    """Assert that what has changed since has this time. Returns whether there are events."""
    after = await world.rows()
    assert after != before
    assert unlike_their_account(after) == []
    for key, row in after.items():
        if key[0] == "leases":  # by the database's clock
            continue
        times = times_of(changes_of(before.get(key, {}), row, WITHOUT_UPDATE | emptied))
        times.pop("next_check_at", None)  # of a domain, later
        if "previous_secret_until" in times:
            assert times.pop("previous_secret_until") == now + timedelta(hours=24)
        assert times == {name: expected(name, now, term) for name in times}, key
    ids = {event.event_id for event in known}  # an erasure blanks some of them
    events = [event for event in await world.events() if event.event_id not in ids]
    for event in events:
        data = parsed(event).data
        times = times_of({field.name: getattr(data, field.name) for field in fields(data)})
        assert event.time == now
        if "overlap_until" in times:
            assert times.pop("overlap_until") == now + timedelta(hours=24)
        assert times == {name: expected(name, now, term) for name in times}, event.type
    return bool(events)


def unlike_their_account(stored: dict[Any, dict[str, Any]]) -> list[Any]:
    """The memberships, in PostgreSQL, that a search does not find by the account's name and address."""
    users = {row["user_id"]: row for key, row in stored.items() if key[0] == "users"}
    memberships = {key: row for key, row in stored.items() if key[0] == "memberships" and "searched" in row}
    return [key for key, row in memberships.items() if row["searched"] != _text_of(users[row["user_id"]])]


def _text_of(user: dict[str, Any]) -> str:
    return f" {user['email_key']}\n {user['name_key'] or ''}"


def changes_of(
    before: dict[str, Any], row: dict[str, Any], without_update: AbstractSet[str]
) -> dict[str, Any]:
    """The columns that have changed, and ``updated_at``, which must have."""
    changes = {name: value for name, value in row.items() if name not in before or before[name] != value}
    steps = changes.keys() - without_update and "updated_at" in row
    return changes | ({"updated_at": row["updated_at"]} if steps else {})


def times_of(columns: dict[str, Any]) -> dict[str, datetime]:
    return {name: value for name, value in columns.items() if isinstance(value, datetime)}


def expected(column: str, now: datetime, term: timedelta) -> datetime:
    if column == "expires_at":
        return now + term
    if column == "hour":
        return now.replace(minute=0)
    return GIVEN.get(column, now)
