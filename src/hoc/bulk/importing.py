"""Import of accounts, one transaction per batch; and a trial, which says what an import would do."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeAlias

from hoc.bulk.account_rows import AccountRow, account_row
from hoc.bulk.files import Record, Rejection
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L6_drivers.bulk_accounts import (
    STAGED,
    check_accounts,
    settle_accounts,
    store_accounts,
)
from hoc.cus.account.wiring import open_database
from hoc.database import Database, Pooler

BATCH: Final = 10_000
# A batch takes about a second, longer on a busy server.
STATEMENT_TIMEOUT_MS: Final = 600_000
_LINE: Final = STAGED.index("line")
_USER_ID: Final = STAGED.index("user_id")
_EMAIL_KEY: Final = STAGED.index("email_key")
_DELETED_AT: Final = STAGED.index("deleted_at")

RowReader: TypeAlias = Callable[[dict[str, object], int], AccountRow]
LinkedRow: TypeAlias = tuple[int, str, str]
"""The line of an account, and the issuer and the subject to link to the account."""


class Source(Protocol):
    """The rows of a file. Iterating raises FileError if the file cannot be read at all."""

    @property
    def bytes_read(self) -> int: ...

    def __iter__(self) -> Iterator[Record | Rejection]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would become of a row that is not rejected: a new account, or nothing, as its account is there."""

    line: int
    is_new: bool

    def __str__(self) -> str:
        return f"line {self.line}: {'would be imported' if self.is_new else 'is already there'}"


@dataclass(slots=True)
class ImportCounts:
    """The numbers of a file's rows by outcome. A rejected row of several lines counts as so many."""

    imported: int = 0
    already_there: int = 0
    rejected: int = 0


@dataclass(slots=True)
class _Batch:
    accounts: list[AccountRow] = field(default_factory=list)
    identities: list[LinkedRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Seen:
    """What earlier rows of the file had: a digest of each id's row, of each address, and each identity."""

    rows: dict[str, int] = field(default_factory=dict)
    addresses: set[int] = field(default_factory=set)
    identities: set[int] = field(default_factory=set)


async def import_accounts(
    url: str,
    rows: Source,
    *,
    report: Callable[[Rejection], None],
    progress: Callable[[int], None],
    special_use: bool = False,
    pooler: Pooler | None = None,
    tell: Callable[[Outcome], None] | None = None,
) -> ImportCounts:
    """Store the accounts whose ids are new. Accounts that exist are left unchanged.

    A batch of rows is stored and counted as a whole or not at all.

    Args:
        url: the URL of the database.
        rows: of the file, as accounts.
        report: called with each rejected row, in the order of the lines.
        special_use: take addresses such as admin@corp.local.
        pooler: the pooler that the URL leads to.
        progress: called after each batch with the number of bytes read so far.
        tell: makes it a trial, which stores nothing: called with what would become of each row that is not
            rejected, in the order of the lines.

    Raises:
        FileError: the file cannot be read at all.
        UnavailableError: the database is away. Stored batches stay; the file can be imported again.
    """
    now = utc_now()
    batches = _batches(rows, partial(account_row, now=now, special_use=special_use))
    counts = ImportCounts()
    database = open_database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=pooler)
    seen = _Seen()
    try:
        batch = _next(batches)
        while batch is not None:
            # The next batch is read while PostgreSQL stores this one.
            reading = asyncio.create_task(asyncio.to_thread(_next, batches))
            read = rows.bytes_read
            try:
                if tell is None:
                    there, refused = await _store(database, batch, now)
                else:
                    there, refused = await _check(database, batch, seen)
                _count(batch, there, refused, counts, report)
                if tell is not None:
                    _tell(batch, there, refused, tell)
            finally:
                following = await reading
            progress(read)
            batch = following
        if tell is None and counts.imported >= BATCH:
            async with database.reading() as session:
                await settle_accounts(session)
    finally:
        await database.close()
    return counts


def _next(batches: Iterator[_Batch]) -> _Batch | None:
    return next(batches, None)


def _batches(rows: Source, read: RowReader) -> Iterator[_Batch]:
    seen = _Seen()
    row_iterator = iter(rows)
    while chunk := list(islice(row_iterator, BATCH)):
        batch = _Batch()
        for row in chunk:
            if isinstance(row, Rejection):
                batch.rejections.append(row)
            else:
                _sort(row, batch, seen, read)
        yield batch


def _sort(row: Record, batch: _Batch, seen: _Seen, read: RowReader) -> None:
    try:
        account = read(row.values, row.line)
        _check_identities(row, seen)
    except InvalidInputError as problem:
        batch.rejections.append(Rejection(row.line, str(problem), row.last_line))
        return
    _, user_id, *content = account
    # A digest takes less memory than the row, and every row of the file is remembered.
    digest = hash((*content, row.identities))
    first = seen.rows.get(user_id)
    if first is None:
        seen.rows[user_id] = digest
        seen.identities.update(map(hash, row.identities))
        batch.accounts.append(account)
        batch.identities += [(row.line, *identity) for identity in row.identities]
    elif first == digest:
        batch.repeated.append(row.line)
    else:
        batch.rejections.append(Rejection(row.line, "user_id: is on an earlier line with other content"))


def _check_identities(row: Record, seen: _Seen) -> None:
    if not all(is_storable_id(part) for identity in row.identities for part in identity):
        raise InvalidInputError.of("identities", "must have 1 to 255 characters without control characters")
    is_own = row.values.get("user_id") in seen.rows  # a repeated row, which is compared as a whole
    is_taken = not seen.identities.isdisjoint(map(hash, row.identities))
    if len(set(row.identities)) < len(row.identities) or (is_taken and not is_own):
        raise InvalidInputError.of("identities", "one is on an earlier line, or twice on this one")


async def _store(database: Database, batch: _Batch, now: datetime) -> tuple[set[str], dict[int, str]]:
    if not batch.accounts:
        return set(), {}
    return await database.transact(
        lambda session: store_accounts(session, batch.accounts, batch.identities, now)
    )


async def _check(database: Database, batch: _Batch, seen: _Seen) -> tuple[set[str], dict[int, str]]:
    """What `_store` would return. No row is stored, so the addresses of earlier rows are remembered."""
    async with database.reading() as session:
        there, refused = await check_accounts(session, batch.accounts, batch.identities)
    for account in batch.accounts:
        key = account[_EMAIL_KEY]
        if account[_USER_ID] in there or account[_LINE] in refused or key is None or account[_DELETED_AT]:
            continue
        if hash(key) in seen.addresses:
            refused[account[_LINE]] = "email: is another account's already"
        seen.addresses.add(hash(key))
    return there, refused


def _count(
    batch: _Batch,
    there: set[str],
    refused: dict[int, str],
    counts: ImportCounts,
    report: Callable[[Rejection], None],
) -> None:
    rejections = batch.rejections + [Rejection(line, reason) for line, reason in refused.items()]
    for rejection in sorted(rejections, key=lambda rejection: rejection.line):
        report(rejection)
    counts.imported += len(batch.accounts) - len(there) - len(refused)
    counts.already_there += len(there) + len(batch.repeated)
    counts.rejected += sum(rejection.lines for rejection in rejections)


def _tell(batch: _Batch, there: set[str], refused: dict[int, str], tell: Callable[[Outcome], None]) -> None:
    outcomes = [
        Outcome(account[_LINE], is_new=account[_USER_ID] not in there)
        for account in batch.accounts
        if account[_LINE] not in refused
    ]
    outcomes += [Outcome(line, is_new=False) for line in batch.repeated]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.line):
        tell(outcome)
