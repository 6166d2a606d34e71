"""Commits wake relays that do not poll; relays that poll need no wake."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from support.outage import proxied
from support.relays import Site
from support.seed import scalar
from support.statements import change_statements
from support.waiting import until

from hoc.events.wakeups import CommitNotifier, Listener

NEVER_SECONDS = 3_600.0

LISTENING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)


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
