"""What is committed is published, however late and beside whatever goes on; what is rolled back is not."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from support.relays import Site, turn

# As patterns in the SQL that is sent, and what stands there once the mechanism is gone.
OUT_OF_THE_OUTBOX = (
    r"FROM account\.outbox ORDER BY",
    "FROM account.outbox WHERE position > (SELECT coalesce(max(position), 0) FROM account.events) ORDER BY",
)
WHATEVER_ELSE_IS_OPEN = (
    r"FROM account\.outbox ORDER BY",
    (
        "FROM account.outbox WHERE CAST(CAST(account.outbox.xmin AS text) AS bigint)"
        " < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) ORDER BY"
    ),
)
CURSOR = (r"UPDATE account\.event_cursors SET sequence=\$1", "UPDATE account.event_cursors SET sequence=0*$1")

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


@in_place_and_taken_out
async def test_a_lower_position_that_commits_later_is_published(site: Site, *, taken_out: bool) -> None:
    early, late = await site.world.add_user(), await site.world.add_user()
    async with site.relay(*[OUT_OF_THE_OUTBOX] if taken_out else []) as relay:
        await turn(relay)
        async with site.world.session() as session:
            await site.world.facade.update_profile(session, late, display_name="first")
            await site.rename(early, "second")
            await turn(relay)
            assert await site.names() == [(early, "second")]
            await session.commit()
        await turn(relay)
        assert await site.names() == [(early, "second"), *([] if taken_out else [(late, "first")])]


@in_place_and_taken_out
async def test_an_open_transaction_holds_up_nobody_else(site: Site, *, taken_out: bool) -> None:
    idle, busy = await site.world.add_user(), await site.world.add_user()
    async with site.relay(*[WHATEVER_ELSE_IS_OPEN] if taken_out else []) as relay:
        await turn(relay)
        async with site.world.session() as session:
            await site.world.facade.update_profile(session, idle, display_name="never")
            await site.rename(busy, "one", "two")
            await turn(relay)
            assert await site.names() == ([] if taken_out else [(busy, "one"), (busy, "two")])
            await session.rollback()


def _caller_session(site: Site, *, is_transaction: bool) -> AbstractAsyncContextManager[Any]:
    return (
        site.world.session()
        if is_transaction
        else AsyncSession(site.database.engine.execution_options(isolation_level="AUTOCOMMIT"))
    )


@in_place_and_taken_out
async def test_what_the_caller_rolls_back_is_not_published(site: Site, *, taken_out: bool) -> None:
    user = await site.world.add_user()
    update = site.world.facade.update_profile
    async with site.relay() as relay:
        async with _caller_session(site, is_transaction=not taken_out) as session:
            await update(session, user, display_name="never")
            await session.rollback()
            await update(session, user, display_name="ever")
            await session.commit()
        await turn(relay)
    assert await site.names() == [*([(user, "never")] if taken_out else []), (user, "ever")]


async def test_a_savepoint_takes_back_its_own(site: Site) -> None:
    user = await site.world.add_user()
    update = site.world.facade.update_profile
    async with site.relay() as relay:
        async with site.world.session() as session:
            await update(session, user, display_name="before")
            async with session.begin_nested() as savepoint:
                await update(session, user, display_name="within")
                await savepoint.rollback()
            async with session.begin_nested():
                await update(session, user, display_name="kept")
            await update(session, user, display_name="after")
            await turn(relay)
            assert await site.names() == []
            await session.commit()
        await turn(relay)
    assert await site.names() == [(user, "before"), (user, "kept"), (user, "after")]


@in_place_and_taken_out
async def test_what_is_committed_is_published_once(site: Site, *, taken_out: bool) -> None:
    """Also long after JetStream has forgotten it."""
    user = await site.world.add_user()
    window = 0.1
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], duplicate_window=window)
    await site.rename(user, "one", "two")
    async with site.relay(*[CURSOR] if taken_out else []) as relay:
        for _ in range(3):
            await turn(relay)
            await asyncio.sleep(2 * window)
    assert await site.names() == [(user, "one"), (user, "two")] * (3 if taken_out else 1)


async def test_a_message_is_the_event_and_nothing_else(site: Site) -> None:
    tenant_id, owner = await site.world.tenant()
    async with site.relay() as relay:
        await turn(relay)
    recorded = {event.event_id: event for event in await site.world.events()}
    stored = await site.nats.stored()
    assert [message.message_id for message in stored] == [*recorded]
    for message in stored:
        event = recorded[message.message_id]
        assert (message.subject, message.data) == (event.type, event.data)
        assert message.headers["ce-id"] == event.event_id
        assert message.headers["ce-type"] == event.type
        assert message.headers["ce-source"] == "urn:test:accounts"
        assert message.headers["ce-sequence"] == f"{event.sequence:019d}"
        assert message.headers["ce-subject"] == (event.tenant_id or event.user_id)
    assert {message.headers["ce-subject"] for message in stored} == {tenant_id, owner}
