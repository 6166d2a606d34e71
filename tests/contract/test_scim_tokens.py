"""Tokens of a tenant's SCIM client: made and revoked by owners, shown once, and whose they are."""

from dataclasses import astuple
from functools import partial
from typing import Any

import pytest
from support.world import World, refusal, walk

from hoc.cus.account.L5_engines.scim_tokens import MAX_TOKENS
from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotAMemberError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.scim import NewScimTokenResult, ScimCaller, ScimTokenResult


async def make(world: World, tenant_id: str, owner: str, *, days: int = 365) -> NewScimTokenResult:
    async with world.transaction() as session:
        return await world.engines.scim_tokens.create(
            session, tenant_id, owner, name="Directory", expires_in_days=days
        )


async def caller_of(world: World, token: str) -> ScimCaller | None:
    async with world.reading() as session:
        return await world.engines.scim_tokens.authenticate(session, token)


async def read(world: World, tenant_id: str, owner: str, token_id: str) -> ScimTokenResult:
    async with world.reading() as session:
        return await world.engines.scim_tokens.get(session, tenant_id, owner, token_id)


async def test_a_token_says_whose_it_is(world: World) -> None:
    (one, owner), (other, others_owner) = await world.tenant(), await world.tenant()
    made, theirs = await make(world, one, owner), await make(world, other, others_owner)
    assert await caller_of(world, made.token) == ScimCaller(one, made.id, use_is_due=True)
    assert await caller_of(world, theirs.token) == ScimCaller(other, theirs.id, use_is_due=True)
    mixed = theirs.token.replace(other, one)
    assert await caller_of(world, mixed) is None


@pytest.mark.parametrize(
    "wrong",
    ["", "hoc_scim_", "hoc_scim_x.", "hoc_scim_\x00.{secret}", "{token} ", "{token}\n", "\ud800", "{other}"],
)
async def test_what_is_no_token_is_nobodys(world: World, wrong: str) -> None:
    tenant_id, owner = await world.tenant()
    token = (await make(world, tenant_id, owner)).token
    secret = token.rpartition(".")[2]
    other = token[:-1] + ("A" if token[-1] != "A" else "Q")
    assert await caller_of(world, wrong.format(token=token, secret=secret, other=other)) is None


async def test_the_text_is_in_the_first_answer_only(world: World) -> None:
    tenant_id, owner = await world.tenant()
    made = await make(world, tenant_id, owner)
    assert made.token not in repr(made)
    secret = made.token.rpartition(".")[2]
    stored, events = await world.rows(), await world.events(tenant_id=tenant_id)
    seen = astuple(await read(world, tenant_id, owner, made.id))
    assert secret not in f"{stored}{[astuple(event) for event in events]}{seen}"


async def test_a_token_ends_when_it_expires_or_is_revoked(world: World) -> None:
    tenant_id, owner = await world.tenant()
    short, kept = await make(world, tenant_id, owner, days=1), await make(world, tenant_id, owner)
    world.clock.advance(days=1)
    assert await caller_of(world, short.token) is None
    assert (await read(world, tenant_id, owner, short.id)).status == "expired"
    assert await caller_of(world, kept.token) is not None
    async with world.transaction() as session:
        revoked = await world.engines.scim_tokens.revoke(session, tenant_id, owner, kept.id)
        again = await world.engines.scim_tokens.revoke(session, tenant_id, owner, kept.id)
    assert again == revoked == await read(world, tenant_id, owner, kept.id)
    assert (revoked.status, revoked.revoked_at) == ("revoked", world.clock.now)
    assert await caller_of(world, kept.token) is None


@pytest.mark.parametrize("status", ["suspended", "terminated"])
async def test_a_token_works_in_an_active_tenant_only(world: World, status: str) -> None:
    tenant_id, owner = await world.tenant()
    made = await make(world, tenant_id, owner)
    await world.suspend(tenant_id, status)
    assert await caller_of(world, made.token) is None
    async with world.transaction() as session:
        new = await refusal(world.engines.scim_tokens.create(session, tenant_id, owner, name="Another"))
    assert new[0] is TenantNotActiveError


async def test_the_last_use_is_written_once_a_minute(world: World) -> None:
    tenant_id, owner = await world.tenant()
    made = await make(world, tenant_id, owner)

    async def use() -> bool:
        caller = await caller_of(world, made.token)
        assert caller is not None
        async with world.transaction() as session:
            await world.engines.scim_tokens.record_use(session, caller)
        return caller.use_is_due

    first = world.clock.now
    assert await use()
    world.clock.advance(seconds=59)
    assert not await use()
    assert (await read(world, tenant_id, owner, made.id)).last_used_at == first
    world.clock.advance(seconds=1)
    assert await use()
    assert (await read(world, tenant_id, owner, made.id)).last_used_at == world.clock.now


async def test_only_owners_have_to_do_with_tokens(world: World) -> None:
    team, (other, others_owner) = await world.team(), await world.tenant()
    made, theirs = await make(world, team.tenant_id, team.owner), await make(world, other, others_owner)
    tokens = world.engines.scim_tokens
    async with world.transaction() as session:
        for caller, error in (
            (team.admin, ForbiddenError),
            (team.viewer, ForbiddenError),
            (others_owner, NotAMemberError),
        ):
            calls = [
                tokens.create(session, team.tenant_id, caller, name="Mine"),
                tokens.list(session, team.tenant_id, caller),
                tokens.get(session, team.tenant_id, caller, made.id),
                tokens.revoke(session, team.tenant_id, caller, made.id),
            ]
            assert [(await refusal(call))[0] for call in calls] == [error] * 4
        for unknown in (theirs.id, "sct_none", "\x00"):
            for call in (tokens.get, tokens.revoke):
                refused = await refusal(call(session, team.tenant_id, team.owner, unknown))
                assert refused[0] is NotFoundError
    assert await caller_of(world, made.token) is not None
    assert await caller_of(world, theirs.token) is not None


@pytest.mark.parametrize(
    "wrong",
    [{"name": " "}, {"name": "a\nb"}, {"name": "x" * 101}, {"expires_in_days": 0}, {"expires_in_days": 366}],
)
async def test_a_token_has_a_name_and_a_term(world: World, wrong: dict[str, Any]) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        given: dict[str, Any] = {"name": "Directory", **wrong}
        refused = await refusal(world.engines.scim_tokens.create(session, tenant_id, owner, **given))
    assert refused[0] is InvalidInputError


async def test_a_tenant_has_a_limited_number_of_tokens(world: World) -> None:
    tenant_id, owner = await world.tenant()
    tokens = world.engines.scim_tokens
    async with world.transaction() as session:
        made = [
            await tokens.create(session, tenant_id, owner, name=f"T{number}") for number in range(MAX_TOKENS)
        ]
        refused = await refusal(tokens.create(session, tenant_id, owner, name="One more"))
        assert refused[:2] == (LimitExceededError, "quota_exceeded")
        await tokens.revoke(session, tenant_id, owner, made[0].id)
        await tokens.create(session, tenant_id, owner, name="Instead")
        pages = await walk(partial(tokens.list, session, tenant_id, owner, limit=8))
    listed = [token.id for page in pages for token in page.tokens]
    assert len(set(listed)) == len(listed) == pages[0].total == MAX_TOKENS + 1
