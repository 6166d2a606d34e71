"""Commits wake relays that do not poll; relays that poll need no wake."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from support.outage import proxied
from support.relays import SOURCE, Site, in_place_and_taken_out
from support.seed import scalar
from support.statements import change_statements
from support.waiting import until

from hoc.events.relay import Relay
from hoc.events.wakeups import CommitNotifier, Listener

NEVER_SECONDS = 3_600.0

LISTENING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)


class Wakes:
    """Counts the wakes of a listener."""

    count = 0

    def add(self) -> None:
        self.count += 1

    async def until_more_than(self, number: int) -> None:
        async def are_more() -> bool:
            return self.count > number

        await until(are_more)


@asynccontextmanager
async def listening(
    site: Site, *, url: str | None = None, poll_seconds: float = NEVER_SECONDS
) -> AsyncGenerator[CommitNotifier]:
    """Run a relay that listens and has nothing left to publish."""
    async with site.relay(poll_seconds=poll_seconds) as relay:
        notifier, listener = CommitNotifier(site.database), Listener(url or site.url, relay.wake)
        async with relay.running(), notifier.running(), listener.running():
            await until_listening(site)
            notifier.notify()
            await site.until_published()
            yield notifier


async def until_listening(site: Site) -> None:
    async def is_listening() -> bool:
        return await scalar(site.database, LISTENING) == 1

    await until(is_listening)


async def test_every_write_notifies_the_relays(site: Site) -> None:
    user = await site.world.add_user()
    async with listening(site) as notifier:
        site.database.after_write(notifier.notify)
        for name in ("one", "two", "three"):
            await site.database.transact(
                partial(site.world.facade.update_profile, user_id=user, display_name=name)
            )
            await site.until_named(user, name)


async def test_polling_finds_events_that_a_listener_missed(site: Site) -> None:
    user = await site.world.add_user()
    async with (
        proxied(site.url) as (behind, proxy),
        listening(site, url=behind, poll_seconds=0.05) as notifier,
    ):
        await proxy.cut()
        await site.rename(user, "one")
        notifier.notify()
        await site.until_named(user, "one")
        await proxy.connect()
        await until_listening(site)


async def test_the_notifier_survives_a_refused_statement(site: Site) -> None:
    """A standby refuses it, and after a failover a connection may lead to one for a while."""
    user, refused = await site.world.add_user(), asyncio.Event()

    def refuse(sql: str) -> str:
        if "pg_notify" not in sql:
            return sql
        refused.set()
        return sql.replace("SELECT", "SELECT 1 / 0,")

    async with listening(site) as notifier:
        end = change_statements(site.database, refuse)
        notifier.notify()
        await refused.wait()
        end()
        await site.rename(user, "one")
        notifier.notify()
        await site.until_named(user, "one")


async def test_a_listener_is_woken_and_reconnects(site: Site) -> None:
    wakes, notifier = Wakes(), CommitNotifier(site.database)
    async with notifier.running(), Listener(site.url, wakes.add).running():
        await wakes.until_more_than(0)  # it listens
        notifier.notify()
        await wakes.until_more_than(1)
        assert await scalar(site.database, LISTENING.replace("*", "pg_terminate_backend(pid)")) == 1
        await wakes.until_more_than(2)  # for notifications that it missed
        before = wakes.count
        notifier.notify()
        await wakes.until_more_than(before)


@in_place_and_taken_out
async def test_without_a_notification_polling_finds_events(site: Site, *, taken_out: bool) -> None:
    async with site.connected() as (database, _):
        relay = Relay(database, None, source=SOURCE, poll_seconds=NEVER_SECONDS if taken_out else 0.05)
        async with relay.running():
            await asyncio.sleep(0.3)  # it has polled, and found nothing
            await site.write_event("ada", "one")
            if taken_out:
                await asyncio.sleep(1)
                assert await sequences(site) == []
                relay.wake()

            async def is_numbered() -> bool:
                return await sequences(site) == [1]

            await until(is_numbered)


async def sequences(site: Site) -> object:
    return await scalar(site.database, "SELECT coalesce(array_agg(sequence), '{}') FROM account.events")


async def test_many_commits_make_few_notifications(site: Site) -> None:
    wakes, notifier = Wakes(), CommitNotifier(site.database)
    async with notifier.running(), Listener(site.url, wakes.add).running():
        await wakes.until_more_than(0)  # it listens
        for _ in range(1_000):
            notifier.notify()
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
    assert wakes.count < 20
