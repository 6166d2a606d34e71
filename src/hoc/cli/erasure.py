"""`hoc user …`: erasing what is known of a person, also from a database that a backup brought back."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.configuration import load_settings, require_target
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L5_engines.erasure import Erasure
from hoc.cus.account.L5_schemas.erasure import BEYOND_REACH, UserErasedResult
from hoc.cus.account.L5_schemas.errors import AccountsError, NotFoundError
from hoc.cus.account.wiring import open_database, options_of, postgres_engines
from hoc.embedded import DataDirectory

T = TypeVar("T")

STATEMENT_TIMEOUT_MS: Final = 10 * 60_000
"""Somebody may have very many events."""


def erase_user(data: DataDirectory, user_id: str) -> None:
    """Erase a person, and say what is beyond reach."""
    [erased] = _with_engine(data, [partial(_erase, user_id=user_id)])
    if isinstance(erased, AccountsError):
        raise erased
    typer.echo(f"{user_id} was erased at {erased.erased_at.isoformat()}.")
    print_step(BEYOND_REACH)


def erased_users(data: DataDirectory) -> list[dict[str, str]]:
    """Return the pseudonym of everybody who was erased, and when."""
    [listed] = _with_engine(data, [lambda erasure, session: erasure.list_erased_users(session)])
    if isinstance(listed, AccountsError):
        raise listed
    return [{"user_id": each.user_id, "erased_at": each.erased_at.isoformat()} for each in listed]


def erase_users_again(data: DataDirectory, file: Path) -> None:
    """Erase who is in a file that `hoc user erased` printed. CommandError when somebody is not erased."""
    ids = list(_ids_in(file, "user_id"))
    outcomes = _with_engine(data, [partial(_erase, user_id=each) for each in ids])
    unknown = [each for each in outcomes if isinstance(each, NotFoundError)]
    refused = [
        f"{user_id}: {outcome}"
        for user_id, outcome in zip(ids, outcomes, strict=True)
        if isinstance(outcome, AccountsError) and not isinstance(outcome, NotFoundError)
    ]
    erased = len(ids) - len(unknown) - len(refused)
    typer.echo(f"{erased:,} erased, {len(unknown):,} not in this database, {len(refused):,} refused")
    if refused:
        raise CommandError("\n".join(["not erased:", *refused]))


async def _erase(erasure: Erasure, session: AsyncConnection, *, user_id: str) -> UserErasedResult:
    return await erasure.erase_user(session, user_id)


def _ids_in(file: Path, name: str) -> list[str]:
    """The ids in JSON lines. Raises CommandError, which names the line, before anything is erased."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"{file} cannot be read.") from problem
    ids: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            found: Any = json.loads(line)[name]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise CommandError(f'{file}, line {number}: this is no JSON object with a text "{name}".')
        ids.append(found)
    return ids


def _with_engine(
    data: DataDirectory, works: list[Callable[[Erasure, AsyncConnection], Awaitable[T]]]
) -> list[T | AccountsError]:
    """Do each work in a transaction of its own. What is refused does not stop the others."""
    settings = load_settings()
    target = require_target(settings, data)

    async def run() -> list[T | AccountsError]:
        database = open_database(
            target.url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=target.pooler
        )
        erasure = postgres_engines(options_of(settings)).erasure
        outcomes: list[T | AccountsError] = []
        try:
            for work in works:
                try:
                    outcomes.append(await database.transact(partial(work, erasure)))
                except AccountsError as refusal:
                    if refusal.status_code >= 500:  # noqa: PLR2004 - the database is away
                        raise
                    outcomes.append(refusal)
        finally:
            await database.close()
        return outcomes

    with database_errors(target.url):
        return asyncio.run(run())
