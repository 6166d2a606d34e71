"""Lists, search and statistics of accounts, with exact counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import AccountValidationError
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountListParams,
    AccountSearchParams,
    AccountSearchResponse,
    AccountStatsResponse,
    AccountStatusChangeRequest,
    AccountSummaryResponse,
    AccountUpdateRequest,
)

KINDS: tuple[bool | None, ...] = (True, False, None)


async def add(world: World, name: str, email: str | None = None) -> str:
    user_id = world.new_id()
    await world.accounts.ensure_account(AccountEnsureRequest(user_id, email or world.new_email(), name))
    return user_id


async def deactivate(world: World, user_id: str) -> None:
    await world.accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=False))


async def populated(world: World) -> tuple[list[str], list[str]]:
    """Seven active and three inactive accounts, one of them deleted, each newest first."""
    ids: list[str] = []
    for number in range(10):
        ids.insert(0, await add(world, f"Person {number}"))
        world.clock.advance(minutes=number % 3)  # some have the same time
    inactive = [ids[1], ids[4], ids[9]]
    await deactivate(world, inactive[0])
    await deactivate(world, inactive[1])
    await world.accounts.delete_account(inactive[2])
    return [user_id for user_id in ids if user_id not in inactive], inactive


def ids_of(accounts: list[AccountSummaryResponse]) -> list[str]:
    return [account.user_id for account in accounts]


async def walked(world: World, **params: Any) -> list[AccountSearchResponse]:
    """Every page, by cursor."""
    pages = [await world.accounts.list_accounts(AccountListParams(**params))]
    while pages[-1].next_cursor is not None:
        assert len(pages) < 100, "the walk does not end"
        following = AccountListParams(**params, cursor=pages[-1].next_cursor)
        pages.append(await world.accounts.list_accounts(following))
    return pages


async def test_a_list_has_the_total_and_pages_of_its_own_filter(empty_world: World) -> None:
    world = empty_world
    active, inactive = await populated(world)
    for kind, expected in ((True, set(active)), (False, set(inactive)), (None, {*active, *inactive})):
        for page_size in (1, 3, 7, 100):
            pages = -(-len(expected) // page_size)
            found: list[str] = []
            for page in range(1, pages + 1):
                answer = await world.accounts.list_accounts(
                    AccountListParams(page, page_size, is_active=kind)
                )
                assert (answer.total, answer.pages) == (len(expected), pages)
                assert (answer.page, answer.page_size, answer.total_capped) == (page, page_size, False)
                assert (answer.next_cursor is None) is (page == pages)
                found += ids_of(answer.accounts)
            assert set(found) == expected
            assert len(found) == len(expected)
            beyond = await world.accounts.list_accounts(
                AccountListParams(pages + 1, page_size, is_active=kind)
            )
            assert (beyond.accounts, beyond.total, beyond.next_cursor) == ([], len(expected), None)
    default = await world.accounts.list_accounts(AccountListParams())
    assert ids_of(default.accounts) == active, "active ones, newest first"
    assert default.accounts[0] == AccountSummaryResponse(
        active[0],
        default.accounts[0].email,
        "Person 9",
        is_active=True,
        created_at=default.accounts[0].created_at,
    )


async def test_an_empty_list_has_no_pages(empty_world: World) -> None:
    for kind in KINDS:
        answer = await empty_world.accounts.list_accounts(AccountListParams(is_active=kind))
        assert (answer.accounts, answer.total, answer.pages, answer.next_cursor) == ([], 0, 0, None)


async def test_a_cursor_walks_past_equal_times(empty_world: World) -> None:
    world = empty_world
    expected = [await add(world, "Same moment") for _ in range(7)]
    lists: list[dict[str, Any]] = [{}, {"search": "same"}, {"is_active": None}]
    for params in lists:
        whole = ids_of((await world.accounts.list_accounts(AccountListParams(**params))).accounts)
        assert sorted(whole) == sorted(expected)
        for page_size in (1, 2, 3, 7):
            pages = await walked(world, page_size=page_size, **params)
            assert [user_id for page in pages for user_id in ids_of(page.accounts)] == whole
            assert {page.total for page in pages} == {7}


async def test_new_accounts_do_not_disturb_a_walk(empty_world: World) -> None:
    world = empty_world
    active, _ = await populated(world)
    first = await world.accounts.list_accounts(AccountListParams(page_size=3))
    world.clock.advance(minutes=1)
    await add(world, "Late")
    rest = await world.accounts.list_accounts(AccountListParams(page_size=100, cursor=first.next_cursor))
    assert ids_of(first.accounts) + ids_of(rest.accounts) == active


async def test_a_cursor_is_good_for_its_own_list_only(empty_world: World) -> None:
    world = empty_world
    await populated(world)
    lists: list[dict[str, Any]] = [
        {"is_active": True}, {"is_active": None}, {"search": "person"}, {"search": "e"}
    ]  # fmt: skip
    cursors = [
        (await world.accounts.list_accounts(AccountListParams(page_size=1, **params))).next_cursor
        for params in lists
    ]
    for params in lists:
        for other, cursor in zip(lists, cursors, strict=True):
            if other != params:
                with pytest.raises(AccountValidationError):
                    await world.accounts.list_accounts(AccountListParams(**params, cursor=cursor))


@pytest.mark.parametrize(
    "params",
    [
        {"page": 0}, {"page": -1}, {"page": 2**63}, {"page": 202}, {"page": 102, "page_size": 100},
        {"page_size": 0}, {"page_size": 101}, {"page_size": -1}, {"page_size": 2**63},
        {"cursor": "x"}, {"cursor": "\x00"}, {"cursor": ""}, {"search": "a\x00"}, {"search": "x" * 256},
        {"search": "\ud800"},
    ],
)  # fmt: skip
async def test_no_page_is_out_of_bounds(world: World, params: dict[str, Any]) -> None:
    with pytest.raises(AccountValidationError) as refused:
        await world.accounts.list_accounts(AccountListParams(**params))
    assert [problem.pointer for problem in refused.value.problems] in [[f"?{name}"] for name in params]


@pytest.mark.parametrize(
    "params",
    [
        {"query": ""}, {"query": "  "}, {"query": "\x00"}, {"query": "x" * 256}, {"query": "a", "limit": 0},
        {"query": "a", "limit": 101}, {"query": "a", "limit": -1},
    ],
)  # fmt: skip
async def test_no_search_is_out_of_bounds(world: World, params: dict[str, Any]) -> None:
    with pytest.raises(AccountValidationError):
        await world.accounts.search_accounts(AccountSearchParams(**params))


async def test_a_part_of_an_address_is_found_inside_others(world: World) -> None:
    """The index is searched for the end of the local part only; the result is the same."""
    own = world.new_id()
    shorter = await add(world, "One", f"{own}.smith@example.com")
    world.clock.advance(minutes=1)
    longer = await add(world, "Two", f"jo{own}.smith@example.com")
    await add(world, "Three", f"{own}.smith@example.org")
    await add(world, "Four", f"{own}x.smith@example.com")
    for term in (f"{own}.SMITH@example.c", f"{own[1:]}.smith@example.com"):
        found = await world.accounts.search_accounts(AccountSearchParams(term))
        assert ids_of(found) == [longer, shorter], term
    assert await world.accounts.search_accounts(AccountSearchParams(f"{own}_smith@example.com")) == []
    assert await world.accounts.search_accounts(AccountSearchParams(f"{own}.smith@%.com")) == []


async def test_a_whole_address_finds_its_account_alone(world: World) -> None:
    own = world.new_id()
    exact = await add(world, "One", f"{own}@example.com")
    world.clock.advance(minutes=1)
    longer = await add(world, "Two", f"jo{own}@example.com")
    term = f"{own.upper()}@Example.com"

    async def found(**given: Any) -> list[str]:
        listed = await world.accounts.list_accounts(AccountListParams(search=term, **given))
        assert (listed.total, listed.total_capped) == (len(listed.accounts), False)
        return ids_of(listed.accounts)

    assert await found() == [exact]
    assert await found(is_active=None) == [exact]
    assert ids_of(await world.accounts.search_accounts(AccountSearchParams(term))) == [exact]
    await world.accounts.delete_account(exact)
    assert await found() == [longer], "a deleted account's address is a part of a text like another"
    assert await found(is_active=None) == [longer, exact]


async def test_a_term_is_found_in_names_and_addresses_in_any_case(world: World) -> None:
    own = world.new_id()
    by_name = await add(world, f"Zoë {own} Ångström")
    world.clock.advance(minutes=1)
    by_email = await add(world, "Somebody", f"Z.{own}@Example.com")
    for term in (own, own.upper(), f" {own} ", own[4:-1]):
        found = await world.accounts.search_accounts(AccountSearchParams(term))
        assert ids_of(found) == [by_email, by_name], "newest first"
        listed = await world.accounts.list_accounts(AccountListParams(search=term))
        assert (ids_of(listed.accounts), listed.total, listed.pages) == ([by_email, by_name], 2, 1)
    assert ids_of(await world.accounts.search_accounts(AccountSearchParams(own, limit=1))) == [by_email]
    for term in (f"ZOË {own}", f"{own} ÅNGSTRÖM", f"{own} a\u030angstro\u0308m"):
        assert ids_of(await world.accounts.search_accounts(AccountSearchParams(term))) == [by_name]
    assert await world.accounts.search_accounts(AccountSearchParams(f"{own}x")) == []


async def test_a_term_across_address_and_name_matches_neither(world: World) -> None:
    own = world.new_id()
    await add(world, f"{own} smith", f"{own}@example.com")
    for term in (f"{own}@example.com {own}", f"com {own}", f"com{own}"):
        assert await world.accounts.search_accounts(AccountSearchParams(term)) == []


async def test_an_account_is_found_by_its_present_name(world: World) -> None:
    own, former = world.new_id(), world.new_id()
    user_id = await add(world, former)
    await world.accounts.update_account_profile(user_id, AccountUpdateRequest(name=own))
    assert ids_of(await world.accounts.search_accounts(AccountSearchParams(own))) == [user_id]
    assert await world.accounts.search_accounts(AccountSearchParams(former)) == []
    async with world.transaction() as session:
        await world.engines.profiles.update(session, user_id, display_name=f"New {former}")
    assert ids_of(await world.accounts.search_accounts(AccountSearchParams(former))) == [user_id]
    assert await world.accounts.search_accounts(AccountSearchParams(own)) == []


@pytest.mark.parametrize("sign", ["%", "_", "\\", "%%", "\\%", "'", '"', "$1", ":name", "%s", "[x]", "?"])
async def test_wildcards_are_literal(world: World, sign: str) -> None:
    own = world.new_id()
    with_it = await add(world, f"{own} a{sign}b")
    await add(world, f"{own} axb")
    await add(world, f"{own} ab")
    for term in (f"{own} a{sign}b", f"{own} a{sign}", f"{own[4:]} A{sign}B"):
        assert ids_of(await world.accounts.search_accounts(AccountSearchParams(term))) == [with_it]
        listed = await world.accounts.list_accounts(AccountListParams(search=term))
        assert (ids_of(listed.accounts), listed.total) == ([with_it], 1)


async def test_a_term_that_looks_like_a_statement_is_a_term(world: World) -> None:
    own = world.new_id()
    for term in ("[POSTCOMPILE_given_row_limit]", "__[POSTCOMPILE_given_pattern]", "'; SELECT 1 --", "$$"):
        user_id = await add(world, f"{own} {term}")
        assert ids_of(await world.accounts.search_accounts(AccountSearchParams(f"{own} {term}"))) == [user_id]


async def test_inactive_accounts_are_found_when_asked_for(world: World) -> None:
    own = world.new_id()
    active, inactive = await add(world, f"{own} one"), await add(world, f"{own} two")
    await deactivate(world, inactive)
    assert ids_of(await world.accounts.search_accounts(AccountSearchParams(own))) == [active]
    both = await world.accounts.search_accounts(AccountSearchParams(own, include_inactive=True))
    assert sorted(ids_of(both)) == sorted([active, inactive])
    for kind, expected in ((True, [active]), (False, [inactive]), (None, [active, inactive])):
        listed = await world.accounts.list_accounts(AccountListParams(is_active=kind, search=own))
        assert (sorted(ids_of(listed.accounts)), listed.total) == (sorted(expected), len(expected))


async def test_a_blank_term_lists_every_account(empty_world: World) -> None:
    active, _ = await populated(empty_world)
    for blank in ("", "  "):
        listed = await empty_world.accounts.list_accounts(AccountListParams(search=blank))
        assert ids_of(listed.accounts) == active


async def test_counting_matches_stops_at_the_cap(world: World) -> None:
    own, accounts = world.new_id(), world.accounts_with(max_counted=3)
    for number in range(1, 6):
        await add(world, f"{own} {number}")
        world.clock.advance(minutes=1)
        found = await accounts.list_accounts(AccountListParams(search=own, page_size=2))
        assert (found.total, found.total_capped) == (min(number, 3), number > 3)
        assert found.pages == -(-found.total // 2)
        names = [account.name for account in found.accounts]
        assert names == [f"{own} {n}" for n in range(number, max(number - 2, 0), -1)], "newest first"
    whole = await world.accounts.list_accounts(AccountListParams(search=own))
    assert (whole.total, whole.total_capped) == (5, False)
    # The list continues beyond the cap, by cursor and by page.
    first = await accounts.list_accounts(AccountListParams(search=own, page_size=3))
    rest = await accounts.list_accounts(AccountListParams(search=own, page_size=3, cursor=first.next_cursor))
    assert first.accounts + rest.accounts == whole.accounts
    assert (rest.total, rest.total_capped, rest.next_cursor) == (3, True, None)
    second = await accounts.list_accounts(AccountListParams(page=2, page_size=3, search=own))
    assert second.accounts == rest.accounts
    assert len(await accounts.search_accounts(AccountSearchParams(own))) == 5


async def test_statistics_are_exact(empty_world: World) -> None:
    world = empty_world
    assert await world.accounts.get_service_stats() == AccountStatsResponse(0, 0, 0, 0, 0)
    await populated(world)
    assert await world.accounts.get_service_stats() == AccountStatsResponse(10, 7, 3, 10, 10)
    # Refused, repeated and reverted changes leave the counts.
    account = (await world.accounts.list_accounts(AccountListParams())).accounts[0]
    again = AccountEnsureRequest(account.user_id, account.email, "Again")
    assert not (await world.accounts.ensure_account(again))[1]
    with pytest.raises(AccountValidationError):
        await add(world, "Taken", account.email)
    for _ in range(2):
        await world.accounts.delete_account(account.user_id)
        assert await world.accounts.get_service_stats() == AccountStatsResponse(10, 6, 4, 10, 10)
    for _ in range(2):
        await world.accounts.change_account_status(
            account.user_id, AccountStatusChangeRequest(is_active=True)
        )
        assert await world.accounts.get_service_stats() == AccountStatsResponse(10, 7, 3, 10, 10)


@pytest.mark.parametrize(
    ("days", "which"), [(7, "recent_registrations_7d"), (30, "recent_registrations_30d")]
)
async def test_recent_registrations_end_at_the_very_moment(empty_world: World, days: int, which: str) -> None:
    """Whole hours are counted by their totals, the boundary's hour by its accounts."""
    world = empty_world
    boundary = datetime(2026, 3, 14, 10, 25, 30, 500_000, tzinfo=UTC)
    hour = boundary.replace(minute=0, second=0, microsecond=0)
    moments = [
        hour - timedelta(hours=1),
        hour - timedelta(microseconds=1),
        hour,
        boundary - timedelta(microseconds=1),
        boundary,
        boundary + timedelta(microseconds=1),
        hour + timedelta(hours=1, microseconds=-1),
        hour + timedelta(hours=1),
        hour + timedelta(hours=5),
    ]
    for moment in moments:
        world.clock.now = moment
        await add(world, "Registered")
    for now in (boundary, *moments):
        world.clock.now = now + timedelta(days=days)
        recent = getattr(await world.accounts.get_service_stats(), which)
        assert recent == sum(moment >= now for moment in moments), now


async def test_accounts_made_by_invitations_count(empty_world: World) -> None:
    world = empty_world
    tenant_id, owner = await world.tenant(await add(world, "Owner"))
    for _ in range(2):
        invitation_id, token = await world.invite(tenant_id, owner)
        for _ in range(2):
            async with world.transaction() as session:
                await world.engines.acceptances.accept(session, invitation_id, token)
    assert await world.accounts.get_service_stats() == AccountStatsResponse(3, 3, 0, 3, 3)
    assert (await world.accounts.list_accounts(AccountListParams())).total == 3
    undone, token = await world.invite(tenant_id, owner)
    async with world.session() as session:
        await world.engines.acceptances.accept(session, undone, token)
        await session.rollback()
    assert await world.accounts.get_service_stats() == AccountStatsResponse(3, 3, 0, 3, 3)
    assert (await world.accounts.list_accounts(AccountListParams(is_active=None))).total == 3
