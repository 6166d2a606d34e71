"""`hoc events …`: what is parked, and what is old."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.migrate import say
from hoc.cli.problems import CommandError, database_problems
from hoc.cli.running import load_settings, require_database
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.records import ParkedItem
from hoc.cus.account.L6_drivers.event_upkeep import SqlEventUpkeep
from hoc.database import Database
from hoc.embedded import DataDirectory

T = TypeVar("T")

_UPKEEP: Final = SqlEventUpkeep()


def parked(data: DataDirectory) -> list[dict[str, Any]]:
    """Return what is parked, in both directions, oldest first."""
    return [_shown(item) for item in _in_transaction(data, _UPKEEP.parked)]


def readable(items: list[dict[str, Any]]) -> str:
    """Return it for people, an item a line."""
    if not items:
        return "Nothing is parked."
    return "\n".join(
        f"{item['id']}  {item['direction']:3} {item['subject']}  {item['parked_at']}  {item['reason']}"
        + ("  (to be tried again)" if item["retry"] else "")
        for item in items
    )


def retry(data: DataDirectory, ids: list[str], *, every: bool) -> list[str]:
    """Mark parked items, or all, to be tried again by a running relay; return their ids."""
    if every == bool(ids):
        raise CommandError("Name what to try again, or say --all.")
    return _in_transaction(data, partial(_retry, ids=None if every else ids))


def prune(data: DataDirectory, keep_days: int, *, unpublished: bool) -> list[str]:
    """Drop the months that ended before then; return their partitions. Those not published yet are kept."""
    before = utc_now() - timedelta(days=keep_days)
    dropped: list[str] = []
    for month in _in_transaction(data, lambda session: _UPKEEP.months_before(session, before)):
        if _in_transaction(data, partial(_drop, month=month, unpublished=unpublished)):
            dropped.append(month)
        else:
            say(f"{month} is kept: events of it are not published yet (--unpublished drops it nevertheless)")
    return dropped


async def _retry(session: AsyncConnection, *, ids: list[str] | None) -> list[str]:
    found = await _UPKEEP.retry(session, ids)
    if missing := set(ids or ()) - set(found):
        raise CommandError(f"Not parked: {', '.join(sorted(missing))}; `hoc events parked` lists what is.")
    return found


async def _drop(session: AsyncConnection, *, month: str, unpublished: bool) -> bool:
    if not unpublished and await _UPKEEP.has_unpublished(session, month):
        return False
    await _UPKEEP.drop(session, month)
    return True


def _in_transaction(data: DataDirectory, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    url = require_database(load_settings(), data)

    async def run() -> T:
        database = Database(url, pool_size=1)
        try:
            return await database.transact(work)
        finally:
            await database.close()

    with database_problems(url):
        return asyncio.run(run())


def _shown(item: ParkedItem) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(item).items()
    }
