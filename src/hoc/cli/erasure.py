"""`hoc user …` and `hoc tenant …`: erasing, also from a database that a backup brought back."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.configuration import load_settings, require_target
from hoc.cli.errors import CommandError, database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L5_engines.erasure import Erasure
from hoc.cus.account.L5_schemas.erasure import (
    BEYOND_REACH,
    ErasedTenant,
    ErasedUser,
    TenantErasedResult,
    UserErasedResult,
)
from hoc.cus.account.L5_schemas.errors import AccountsError, NotFoundError
from hoc.cus.account.wiring import open_database, options_of, postgres_engines
from hoc.embedded import DataDirectory

T = TypeVar("T")

STATEMENT_TIMEOUT_MS: Final = 10 * 60_000
"""Somebody may have very many events."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What is erased: people, or tenants."""

    noun: str
    erase: Callable[[Erasure, AsyncConnection, str], Awaitable[UserErasedResult | TenantErasedResult]]
    listed: Callable[[Erasure, AsyncConnection], Awaitable[list[ErasedUser] | list[ErasedTenant]]]


USERS: Final = Erased("user_id", Erasure.erase_user, Erasure.list_erased_users)
TENANTS: Final = Erased("tenant_id", Erasure.erase_tenant, Erasure.list_erased_tenants)


def erase(data: DataDirectory, kind: Erased, erased_id: str) -> None:
    """Erase a person or a tenant, and say what is beyond reach."""
    [outcome] = _outcomes(data, [partial(_erase, kind=kind, erased_id=erased_id)])
    if isinstance(outcome, AccountsError):
        raise outcome
    typer.echo(f"{erased_id} was erased at {outcome.erased_at.isoformat()}.")
    print_step(BEYOND_REACH)


def exported(data: DataDirectory, user_id: str) -> bytes:
    """Return all that is held about a person, as JSON."""
    [outcome] = _outcomes(data, [lambda erasure, session: erasure.export_user(session, user_id)])
    if isinstance(outcome, AccountsError):
        raise outcome
    return orjson.dumps(outcome, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)


def listed(data: DataDirectory, kind: Erased) -> list[dict[str, str]]:
    """Return the ids of all who were erased, and when, in the order of the erasures."""
    [found] = _outcomes(data, [kind.listed])
    if isinstance(found, AccountsError):
        raise found
    return [{kind.noun: getattr(each, kind.noun), "erased_at": each.erased_at.isoformat()} for each in found]


def erase_again(data: DataDirectory, kind: Erased, file: Path) -> None:
    """Erase those in a file of `listed`. CommandError when one of them is not erased."""
    ids = _ids_in(file, kind.noun)
    outcomes = _outcomes(data, [partial(_erase, kind=kind, erased_id=each) for each in ids])
    unknown = [each for each in outcomes if isinstance(each, NotFoundError)]
    refused = [
        f"{erased_id}: {outcome}"
        for erased_id, outcome in zip(ids, outcomes, strict=True)
        if isinstance(outcome, AccountsError) and not isinstance(outcome, NotFoundError)
    ]
    erased = len(ids) - len(unknown) - len(refused)
    typer.echo(f"{erased:,} erased, {len(unknown):,} not in this database, {len(refused):,} refused")
    if refused:
        raise CommandError("\n".join(["not erased:", *refused]))


async def _erase(
    erasure: Erasure, session: AsyncConnection, *, kind: Erased, erased_id: str
) -> UserErasedResult | TenantErasedResult:
    return await kind.erase(erasure, session, erased_id)


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


def _outcomes(
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
