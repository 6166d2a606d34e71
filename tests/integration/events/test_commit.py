"""Committed events are published, however late they commit. Rolled back events are not."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from support.relays import Site, in_place_and_taken_out, run_once

# Patterns in the SQL that is sent, and their replacements, which take the mechanism out.
READING_THE_OUTBOX = (
    r"FROM account\.outbox ORDER BY",
    "FROM account.outbox WHERE position > (SELECT coalesce(max(position), 0) FROM account.events) ORDER BY",
)
DESPITE_OPEN_TRANSACTIONS = (
    r"FROM account\.outbox ORDER BY",
    (
        "FROM account.outbox WHERE CAST(CAST(account.outbox.xmin AS text) AS bigint)"
        " < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) ORDER BY"
    ),
)
CURSOR = (r"UPDATE account\.event_cursors SET sequence=\$1", "UPDATE account.event_cursors SET sequence=0*$1")


@in_place_and_taken_out
async def test_a_lower_position_that_commits_later_is_published(site: Site, *, taken_out: bool) -> None:
    early, late = await site.world.add_user(), await site.world.add_user()
    async with site.relay(*[READING_THE_OUTBOX] if taken_out else []) as relay:
        await run_once(relay)
        async with site.world.session() as session:
            await site.world.facade.update_profile(session, late, display_name="first")
            await site.rename(early, "second")
            await run_once(relay)
            assert await site.names() == [(early, "second")]
            await session.commit()
        await run_once(relay)
        assert await site.names() == [(early, "second"), *([] if taken_out else [(late, "first")])]


@in_place_and_taken_out
async def test_an_open_transaction_holds_up_no_other(site: Site, *, taken_out: bool) -> None:
    idle, busy = await site.world.add_user(), await site.world.add_user()
    async with site.relay(*[DESPITE_OPEN_TRANSACTIONS] if taken_out else []) as relay:
        await run_once(relay)
        async with site.world.session() as session:
            await site.world.facade.update_profile(session, idle, display_name="never")
            await site.rename(busy, "one", "two")
            await run_once(relay)
            assert await site.names() == ([] if taken_out else [(busy, "one"), (busy, "two")])
            await session.rollback()


def _caller_session(site: Site, *, is_transaction: bool) -> AbstractAsyncContextManager[Any]:
    return (
        site.world.session()
        if is_transaction
        else AsyncSession(site.database.engine.execution_options(isolation_level="AUTOCOMMIT"))
    )


@in_place_and_taken_out
async def test_a_rolled_back_change_is_not_published(site: Site, *, taken_out: bool) -> None:
    user = await site.world.add_user()
    update = site.world.facade.update_profile
    async with site.relay() as relay:
        async with _caller_session(site, is_transaction=not taken_out) as session:
            await update(session, user, display_name="never")
            await session.rollback()
            await update(session, user, display_name="ever")
            await session.commit()
        await run_once(relay)
    assert await site.names() == [*([(user, "never")] if taken_out else []), (user, "ever")]


async def test_a_savepoint_rolls_back_only_its_own_events(site: Site) -> None:
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
            await run_once(relay)
            assert await site.names() == []
            await session.commit()
        await run_once(relay)
    assert await site.names() == [(user, "before"), (user, "kept"), (user, "after")]


@in_place_and_taken_out
async def test_a_committed_change_is_published_once(site: Site, *, taken_out: bool) -> None:
    """It is not published again after JetStream has forgotten its id."""
    user = await site.world.add_user()
    window = 0.1
    async with site.nats.jetstream() as jetstream:
        await jetstream.add_stream(name="ACCOUNTS", subjects=["user.*"], duplicate_window=window)
    await site.rename(user, "one", "two")
    async with site.relay(*[CURSOR] if taken_out else []) as relay:
        for _ in range(3):
            await run_once(relay)
            await asyncio.sleep(2 * window)
    assert await site.names() == [(user, "one"), (user, "two")] * (3 if taken_out else 1)


async def test_a_message_is_exactly_its_event(site: Site) -> None:
    tenant_id, owner = await site.world.tenant()
    async with site.relay() as relay:
        await run_once(relay)
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
