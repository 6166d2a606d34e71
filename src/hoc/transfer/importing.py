"""Accounts from a file, a batch a transaction."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedReader
from itertools import islice
from typing import Final

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L6_drivers.transfers import settle_accounts, store_accounts
from hoc.database import Database
from hoc.transfer.files import Rejection, Rows
from hoc.transfer.records import COLUMNS, REQUIRED, Account, account_of

BATCH: Final = 10_000
# A batch takes a second or so; on a busy server it may wait.
STATEMENT_TIMEOUT_MS: Final = 600_000


@dataclass(slots=True)
class Imported:
    """Rows of a file by what became of them."""

    imported: int = 0
    already_there: int = 0
    rejected: int = 0


@dataclass(slots=True)
class _Batch:
    accounts: list[Account] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    repeated: int = 0


async def import_accounts(
    url: str,
    file: BufferedReader,
    name: str,
    *,
    report: Callable[[Rejection], None],
    progress: Callable[[int], None],
) -> Imported:
    """Store the accounts of a file whose ids are new; those that are there are left unchanged.

    A row that cannot be stored goes to ``report``, in the order of the lines, and holds nothing up. Batches
    of rows are stored and counted whole or not at all.

    Args:
        url: the database's.
        file: CSV with a header, or JSON lines.
        name: its name, for the format.
        report: called with each rejected row.
        progress: called with how many bytes have been read, after each batch.

    Raises:
        FileError: it cannot be read at all.
        UnavailableError: the database is away; what was stored stays. The file can be imported again.
    """
    now = utc_now()
    rows = Rows(file, name, required=REQUIRED, known=COLUMNS)
    batches = _batches(rows, now)
    outcome = Imported()
    database = Database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        batch = _next(batches)
        while batch is not None:
            # While PostgreSQL stores one batch, the next one is read.
            reading = asyncio.create_task(asyncio.to_thread(_next, batches))
            read = rows.bytes_read
            try:
                await _store(database, batch, now, outcome, report)
            finally:
                following = await reading
            progress(read)
            batch = following
        if outcome.imported >= BATCH:
            async with database.reading() as session:
                await settle_accounts(session)
    finally:
        await database.close()
    return outcome


def _next(batches: Iterator[_Batch]) -> _Batch | None:
    return next(batches, None)


def _batches(rows: Rows, now: datetime) -> Iterator[_Batch]:
    seen: dict[str, int] = {}
    row_iterator = iter(rows)
    while some := list(islice(row_iterator, BATCH)):
        batch = _Batch()
        for row in some:
            if isinstance(row, Rejection):
                batch.rejections.append(row)
            else:
                _judge(*row, batch, seen, now)
        yield batch


def _judge(line: int, row: dict[str, object], batch: _Batch, seen: dict[str, int], now: datetime) -> None:
    try:
        account = account_of(row, line, now)
    except InvalidInputError as problem:
        batch.rejections.append(Rejection(line, str(problem)))
        return
    _, user_id, *content = account
    # A digest instead of the row: of a large file every id is remembered.
    digest = hash(tuple(content))
    first = seen.get(user_id)
    if first is None:
        seen[user_id] = digest
        batch.accounts.append(account)
    elif first == digest:
        batch.repeated += 1
    else:
        batch.rejections.append(Rejection(line, "user_id: is on an earlier line with other content"))


async def _store(
    database: Database,
    batch: _Batch,
    now: datetime,
    outcome: Imported,
    report: Callable[[Rejection], None],
) -> None:
    there, taken = 0, list[int]()
    if batch.accounts:
        there, taken = await database.transact(lambda session: store_accounts(session, batch.accounts, now))
    rejections = batch.rejections + [
        Rejection(line, "email: is another active account's already") for line in taken
    ]
    for rejection in sorted(rejections, key=lambda rejection: rejection.line):
        report(rejection)
    outcome.imported += len(batch.accounts) - there - len(taken)
    outcome.already_there += there + batch.repeated
    outcome.rejected += len(rejections)
