"""Import of accounts from a file, one transaction per batch."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from io import BufferedReader
from itertools import islice
from typing import Final, TypeAlias

from hoc.bulk.account_rows import COLUMNS, REQUIRED, AccountRow, account_row
from hoc.bulk.files import Record, Rejection, Rows
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L6_drivers.bulk_accounts import settle_accounts, store_accounts
from hoc.cus.account.wiring import open_database
from hoc.database import Database, Pooler

BATCH: Final = 10_000
# A batch takes about a second, longer on a busy server.
STATEMENT_TIMEOUT_MS: Final = 600_000

RowReader: TypeAlias = Callable[[dict[str, object], int], AccountRow]


@dataclass(slots=True)
class ImportCounts:
    """The numbers of a file's rows by outcome. A rejected row of several lines counts as so many."""

    imported: int = 0
    already_there: int = 0
    rejected: int = 0


@dataclass(slots=True)
class _Batch:
    accounts: list[AccountRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    repeated: int = 0


async def import_accounts(
    url: str,
    file: BufferedReader,
    name: str,
    *,
    report: Callable[[Rejection], None],
    progress: Callable[[int], None],
    special_use: bool = False,
    pooler: Pooler | None = None,
) -> ImportCounts:
    """Store the accounts whose ids are new. Accounts that exist are left unchanged.

    A batch of rows is stored and counted as a whole or not at all.

    Args:
        url: the URL of the database.
        file: CSV with a header, or JSON lines.
        name: the file's name, for its format.
        report: called with each rejected row, in the order of the lines.
        special_use: take addresses such as admin@corp.local.
        pooler: the pooler that the URL leads to.
        progress: called after each batch with the number of bytes read so far.

    Raises:
        FileError: the file cannot be read at all.
        UnavailableError: the database is away. Stored batches stay; the file can be imported again.
    """
    now = utc_now()
    rows = Rows(file, name, required=REQUIRED, known=COLUMNS)
    batches = _batches(rows, partial(account_row, now=now, special_use=special_use))
    counts = ImportCounts()
    database = open_database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=pooler)
    try:
        batch = _next(batches)
        while batch is not None:
            # The next batch is read while PostgreSQL stores this one.
            reading = asyncio.create_task(asyncio.to_thread(_next, batches))
            read = rows.bytes_read
            try:
                await _store(database, batch, now, counts, report)
            finally:
                following = await reading
            progress(read)
            batch = following
        if counts.imported >= BATCH:
            async with database.reading() as session:
                await settle_accounts(session)
    finally:
        await database.close()
    return counts


def _next(batches: Iterator[_Batch]) -> _Batch | None:
    return next(batches, None)


def _batches(rows: Rows, read: RowReader) -> Iterator[_Batch]:
    seen: dict[str, int] = {}
    row_iterator = iter(rows)
    while chunk := list(islice(row_iterator, BATCH)):
        batch = _Batch()
        for row in chunk:
            if isinstance(row, Rejection):
                batch.rejections.append(row)
            else:
                _sort(row, batch, seen, read)
        yield batch


def _sort(row: Record, batch: _Batch, seen: dict[str, int], read: RowReader) -> None:
    try:
        account = read(row.values, row.line)
    except InvalidInputError as problem:
        batch.rejections.append(Rejection(row.line, str(problem), row.last_line))
        return
    _, user_id, *content = account
    # A digest takes less memory than the row, and every row of the file is remembered.
    digest = hash(tuple(content))
    first = seen.get(user_id)
    if first is None:
        seen[user_id] = digest
        batch.accounts.append(account)
    elif first == digest:
        batch.repeated += 1
    else:
        batch.rejections.append(Rejection(row.line, "user_id: is on an earlier line with other content"))


async def _store(
    database: Database,
    batch: _Batch,
    now: datetime,
    counts: ImportCounts,
    report: Callable[[Rejection], None],
) -> None:
    there, taken = 0, dict[int, str]()
    if batch.accounts:
        there, taken = await database.transact(lambda session: store_accounts(session, batch.accounts, now))
    rejections = batch.rejections + [Rejection(line, reason) for line, reason in taken.items()]
    for rejection in sorted(rejections, key=lambda rejection: rejection.line):
        report(rejection)
    counts.imported += len(batch.accounts) - there - len(taken)
    counts.already_there += there + batch.repeated
    counts.rejected += sum(rejection.lines for rejection in rejections)
