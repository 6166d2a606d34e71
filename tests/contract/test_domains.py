"""Domains: claimed, proved, failing, lost; and which addresses can be invited."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.world import World, refusal, walk

from hoc.cus.account.L5_engines.domain_checks import FIRST_CHECK, LOOKED_FOR, SILENCE
from hoc.cus.account.L5_engines.domains import MAX_DOMAINS
from hoc.cus.account.L5_schemas.domains import DomainResult
from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import Invitee
from hoc.cus.account.L5_schemas.values import AnyDomainLookup

DAY = timedelta(days=1)


def new_domain(world: World) -> str:
    return world.new_email().rpartition("@")[0] + ".example.org"


async def claim(world: World, tenant_id: str, owner: str, domain: str | None = None) -> str:
    async with world.transaction() as session:
        claimed = await world.engines.domains.claim(session, tenant_id, owner, domain or new_domain(world))
    return claimed.domain


async def check(world: World, tenant_id: str, domain: str, found: AnyDomainLookup) -> None:
    async with world.transaction() as session:
        await world.engines.domain_checks.record(session, tenant_id, domain, found)


async def proved(world: World, tenant_id: str, owner: str, domain: str | None = None) -> str:
    """A verified domain of the tenant."""
    domain = await claim(world, tenant_id, owner, domain)
    await check(world, tenant_id, domain, "found")
    return domain


async def read(world: World, tenant_id: str, owner: str, domain: str) -> DomainResult:
    async with world.reading() as session:
        return (await world.engines.domains.get(session, tenant_id, owner, domain)).value


async def test_a_claim_shows_the_record_that_proves_it(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await claim(world, tenant_id, owner)
    claimed = await read(world, tenant_id, owner, domain)
    assert (claimed.status, claimed.joining, claimed.join_role) == ("pending", "closed", "member")
    assert claimed.record_name == f"_hoc-challenge.{domain}"
    assert claimed.record_value.startswith("hoc-verification=")
    assert len(claimed.record_value) > 50
    assert claimed.next_check_at == world.clock.now + FIRST_CHECK


@pytest.mark.parametrize(
    ("given", "stored"), [("Bücher.example", "xn--bcher-kva.example"), (" EXAMPLE.net ", "example.net")]
)
async def test_a_domain_has_one_name(world: World, given: str, stored: str) -> None:
    tenant_id, owner = await world.tenant()
    assert await claim(world, tenant_id, owner, given) == stored
    assert (await read(world, tenant_id, owner, given)).domain == stored
    async with world.transaction() as session:
        again = await refusal(world.engines.domains.claim(session, tenant_id, owner, stored))
    assert again[:2] == (ConflictError, "already_claimed")


@pytest.mark.parametrize("wrong", ["", "localhost", "a@example.com", "-.example.com", "x" * 300, "a\x00.com"])
async def test_what_is_no_domain_is_refused(world: World, wrong: str) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        refused = await refusal(world.engines.domains.claim(session, tenant_id, owner, wrong))
        assert refused[0] is InvalidInputError
        unknown = await refusal(world.engines.domains.get(session, tenant_id, owner, wrong))
    assert unknown[0] is NotFoundError


async def test_a_public_providers_domain_is_refused(world: World) -> None:
    engines = world.engines_with(Options(domain_refusal=lambda domain: f"{domain} is public"))
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        refused = await refusal(engines.domains.claim(session, tenant_id, owner, "mail.example"))
    assert refused == (InvalidInputError, "invalid_input", "domain: mail.example is public")


async def test_a_tenant_has_a_limited_number_of_domains(world: World) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        for number in range(MAX_DOMAINS):
            await world.engines.domains.claim(session, tenant_id, owner, f"d{number}.example.org")
        refused = await refusal(world.engines.domains.claim(session, tenant_id, owner, "one.example.org"))
        assert refused[:2] == (LimitExceededError, "quota_exceeded")
        pages = await walk(partial(world.engines.domains.list, session, tenant_id, owner, limit=20))
    listed = [domain.domain for page in pages for domain in page.domains]
    assert len(set(listed)) == len(listed) == pages[0].total == MAX_DOMAINS


async def test_the_first_tenant_with_the_record_has_it(world: World) -> None:
    (one, its_owner), (other, others_owner) = await world.tenant(), await world.tenant()
    domain = await claim(world, one, its_owner)
    await claim(world, other, others_owner, domain)
    await check(world, other, domain, "found")
    await check(world, one, domain, "found")
    assert (await read(world, other, others_owner, domain)).status == "verified"
    late = await read(world, one, its_owner, domain)
    assert (late.status, late.problem) == ("pending", "taken")
    async with world.transaction() as session:
        await world.engines.domains.remove(session, other, others_owner, domain)
    await check(world, one, domain, "found")
    assert (await read(world, one, its_owner, domain)).status == "verified"


async def test_a_missing_record_fails_first_and_is_lost_later(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await proved(world, tenant_id, owner)
    failing_since = world.clock.now
    for _ in range(7):
        await check(world, tenant_id, domain, "missing")
        row = await read(world, tenant_id, owner, domain)
        assert (row.status, row.problem) == ("verified", "missing")
        assert row.failing_since == failing_since
        world.clock.advance(days=1)
    await check(world, tenant_id, domain, "missing")
    row = await read(world, tenant_id, owner, domain)
    assert (row.status, row.verified_at, row.failing_since) == ("pending", None, None)


async def test_a_record_that_returns_ends_the_failure(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await proved(world, tenant_id, owner)
    await check(world, tenant_id, domain, "missing")
    world.clock.advance(days=6)
    await check(world, tenant_id, domain, "found")
    world.clock.advance(days=6)
    await check(world, tenant_id, domain, "missing")
    row = await read(world, tenant_id, owner, domain)
    assert (row.status, row.failing_since) == ("verified", world.clock.now)


async def test_silent_name_servers_lose_no_domain_quickly(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await proved(world, tenant_id, owner)
    proved_at = world.clock.now
    while world.clock.now < proved_at + SILENCE:
        await check(world, tenant_id, domain, "unreachable")
        row = await read(world, tenant_id, owner, domain)
        assert (row.status, row.problem, row.failing_since) == ("verified", "unreachable", None)
        world.clock.advance(days=3)
    await check(world, tenant_id, domain, "unreachable")
    assert (await read(world, tenant_id, owner, domain)).failing_since == world.clock.now


async def test_a_silence_does_not_lose_a_failing_domain(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await proved(world, tenant_id, owner)
    await check(world, tenant_id, domain, "missing")
    world.clock.advance(days=8)
    await check(world, tenant_id, domain, "unreachable")
    assert (await read(world, tenant_id, owner, domain)).status == "verified"


async def test_a_pending_record_is_looked_for_less_and_less(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await claim(world, tenant_id, owner)
    waits: list[timedelta] = []
    for _ in range(100):
        await check(world, tenant_id, domain, "missing")
        next_check_at = (await read(world, tenant_id, owner, domain)).next_check_at
        if next_check_at is None:
            break
        waits.append(next_check_at - world.clock.now)
        world.clock.now = next_check_at
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_CHECK, timedelta(hours=6))
    assert sum(waits, timedelta()) >= LOOKED_FOR


async def test_a_check_that_is_asked_for_comes_soon(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await proved(world, tenant_id, owner)
    async with world.transaction() as session:
        asked = await world.engines.domains.request_check(session, tenant_id, owner, domain)
    assert asked.next_check_at == world.clock.now + timedelta(seconds=10)
    world.clock.advance(hours=1)
    async with world.transaction() as session:
        asked = await world.engines.domains.request_check(session, tenant_id, owner, domain)
    assert asked.next_check_at == world.clock.now


async def test_a_closed_tenant_frees_its_domain(world: World) -> None:
    (closed, its_owner), (other, others_owner) = await world.tenant(), await world.tenant()
    domain = await proved(world, closed, its_owner)
    await claim(world, other, others_owner, domain)
    await world.suspend(closed)
    await check(world, closed, domain, "found")
    await check(world, other, domain, "found")
    assert (await read(world, other, others_owner, domain)).problem == "taken", "suspended keeps it"
    await world.suspend(closed, "terminated")
    await check(world, closed, domain, "found")
    await check(world, other, domain, "found")
    assert (await read(world, other, others_owner, domain)).status == "verified"


async def test_owners_change_domains_and_admins_look(world: World) -> None:
    team = await world.team()
    domain = await claim(world, team.tenant_id, team.owner)
    domains = world.engines.domains
    async with world.transaction() as session:
        for role in (team.admin, team.member):
            for change in (
                domains.claim(session, team.tenant_id, role, "other.example.org"),
                domains.update(session, team.tenant_id, role, domain, joining="open"),
                domains.remove(session, team.tenant_id, role, domain),
            ):
                assert (await refusal(change))[0] is ForbiddenError
        await domains.request_check(session, team.tenant_id, team.admin, domain)
        assert (await domains.list(session, team.tenant_id, team.admin)).value.total == 1
        for look in (
            domains.request_check(session, team.tenant_id, team.member, domain),
            domains.list(session, team.tenant_id, team.member),
            domains.get(session, team.tenant_id, team.member, domain),
        ):
            assert (await refusal(look))[0] is ForbiddenError


async def test_a_stale_version_changes_no_domain(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await claim(world, tenant_id, owner)
    domains = world.engines.domains
    async with world.transaction() as session:
        changed = await domains.update(
            session, tenant_id, owner, domain, joining="ask", join_role="viewer", expected_version=1
        )
        assert (changed.value.joining, changed.value.join_role, changed.version) == ("ask", "viewer", 2)
        for change in (
            domains.update(session, tenant_id, owner, domain, joining="open", expected_version=1),
            domains.remove(session, tenant_id, owner, domain, expected_version=1),
        ):
            assert (await refusal(change))[0] is StaleVersionError
        await domains.remove(session, tenant_id, owner, domain, expected_version=2)


async def test_nobody_joins_as_an_owner(world: World) -> None:
    tenant_id, owner = await world.tenant()
    domain = await claim(world, tenant_id, owner)
    async with world.transaction() as session:
        refused = await refusal(
            world.engines.domains.update(session, tenant_id, owner, domain, join_role="owner")
        )
    assert refused[0] is InvalidInputError


async def restrict(world: World, tenant_id: str, caller: Any) -> None:
    async with world.transaction() as session:
        await world.engines.projects.update(
            session, tenant_id, caller, tenant_id, invitations_only_to_domains=True
        )


async def test_only_addresses_in_its_domains_are_invited(world: World) -> None:
    tenant_id, owner = await world.tenant()
    outside, _ = await world.invite(tenant_id, owner)
    domain = await claim(world, tenant_id, owner)
    await restrict(world, tenant_id, owner)
    invitations = world.engines.invitations
    async with world.transaction() as session:
        for invite in (
            invitations.invite(session, tenant_id, owner, email=f"a@{domain}"),
            invitations.resend(session, tenant_id, owner, outside),
        ):
            assert (await refusal(invite))[:2] == (ForbiddenError, "outside_domains")
    await check(world, tenant_id, domain, "found")
    async with world.transaction() as session:
        await invitations.invite(session, tenant_id, owner, email=f"a@{domain.upper()}")
        batch = await invitations.invite_many(
            session,
            tenant_id,
            owner,
            [Invitee(f"b@{domain}"), Invitee(f"c@sub.{domain}"), Invitee(world.new_email())],
        )
    assert [None if row.problem is None else row.problem.code for row in batch.results] == [
        None,
        "outside_domains",
        "outside_domains",
    ]


async def test_only_owners_say_whom_the_tenant_invites(world: World) -> None:
    team = await world.team()
    projects = world.engines.projects
    async with world.transaction() as session:
        change = projects.update(
            session, team.tenant_id, team.admin, team.tenant_id, invitations_only_to_domains=True
        )
        assert (await refusal(change))[0] is ForbiddenError
    await restrict(world, team.tenant_id, team.owner)
    async with world.transaction() as session:
        renamed = await projects.update(session, team.tenant_id, team.admin, team.tenant_id, name="N")
    assert renamed.value.invitations_only_to_domains
