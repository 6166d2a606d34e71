"""`hoc events …`: parked events and messages, and old events."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.configuration import load_settings, require_target
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.port_types import DeadLetter
from hoc.cus.account.L6_drivers.dead_letters import SqlDeadLetters
from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions
from hoc.cus.account.wiring import open_database
from hoc.embedded import DataDirectory

T = TypeVar("T")

_DEAD_LETTERS: Final = SqlDeadLetters()
_PARTITIONS: Final = SqlEventPartitions()


def parked(data: DataDirectory) -> list[dict[str, Any]]:
    """Return the dead letters of both directions, oldest first."""
    return [_as_json(letter) for letter in _in_transaction(data, _DEAD_LETTERS.find_all)]


def readable(letters: list[dict[str, Any]]) -> str:
    """Return the dead letters as text for people, one per line."""
    if not letters:
        return "Nothing is parked."
    return "\n".join(
        f"{each['id']}  {each['direction']:3} {each['subject']}  {each['parked_at']}  {each['reason']}"
        + ("  (to be tried again)" if each["retry"] else "")
        for each in letters
    )


def retry(data: DataDirectory, ids: list[str], *, every: bool) -> list[str]:
    """Have a running relay retry these dead letters, or all. Returns their ids."""
    if every == bool(ids):
        raise CommandError("Name the ids to retry, or use --all.")
    return _in_transaction(data, partial(_retry, ids=None if every else ids))


def prune(data: DataDirectory, keep_days: int, *, unpublished: bool) -> list[str]:
    """Drop the months of events that ended more than `keep_days` days ago. Returns the dropped partitions.

    A month with events that are unpublished, or that a webhook endpoint has not passed, is kept unless
    `unpublished` is set.
    """
    before = utc_now() - timedelta(days=keep_days)
    dropped: list[str] = []
    for month in _in_transaction(data, lambda session: _PARTITIONS.before(session, before)):
        if _in_transaction(data, partial(_drop, month=month, unpublished=unpublished)):
            dropped.append(month)
        else:
            print_step(
                f"{month} is kept: NATS, or a webhook endpoint, has not had all its events"
                " (--unpublished drops them too)"
            )
    return dropped


async def _retry(session: AsyncConnection, *, ids: list[str] | None) -> list[str]:
    found = await _DEAD_LETTERS.request_retry(session, ids)
    if missing := set(ids or ()) - set(found):
        raise CommandError(f"Not parked: {', '.join(sorted(missing))}. `hoc events parked` lists the ids.")
    return found


async def _drop(session: AsyncConnection, *, month: str, unpublished: bool) -> bool:
    if not unpublished:
        return await _PARTITIONS.drop_passed(session, month)
    await _PARTITIONS.drop(session, month)
    return True


def _in_transaction(data: DataDirectory, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    target = require_target(load_settings(), data)

    async def run() -> T:
        database = open_database(target.url, pool_size=1, pooler=target.pooler)
        try:
            return await database.transact(work)
        finally:
            await database.close()

    with database_errors(target.url):
        return asyncio.run(run())


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(letter).items()
    }
