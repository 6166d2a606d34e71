"""Import of memberships from rows: who is a member of which tenant, in which role."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

from hoc.bulk.files import Record, Rejection
from hoc.bulk.importing import STATEMENT_TIMEOUT_MS, ImportCounts, Outcome, Source
from hoc.cus.account.L5_engines.session import Session, utc_now
from hoc.cus.account.L5_engines.text import choice, is_storable_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.values import Role, TenantStatus
from hoc.cus.account.L6_drivers.bulk_memberships import (
    TenantStanding,
    add_members,
    people_of,
    standing_of,
)
from hoc.cus.account.wiring import open_database
from hoc.database import Pooler

MEMBERSHIP_COLUMNS: Final = ("tenant_id", "user_id", "role")
# A batch locks its tenants until its commit.
BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Membership:
    line: int
    tenant_id: str
    user_id: str
    role: Role


@dataclass(slots=True)
class _Batch:
    memberships: list[Membership] = field(default_factory=list)
    results: list[Outcome | Rejection] = field(default_factory=list)


async def import_memberships(
    url: str,
    rows: Source,
    *,
    report: Callable[[Rejection], None],
    progress: Callable[[int], None],
    pooler: Pooler | None = None,
    tell: Callable[[Outcome], None] | None = None,
) -> ImportCounts:
    """Make members of accounts that exist. Memberships that exist are left unchanged.

    The arguments and errors are those of `import_accounts`.
    """
    now, is_trial, counts = utc_now(), tell is not None, ImportCounts()
    added = defaultdict[str, set[str]](set)
    """In a trial, whom earlier batches would have made members of each tenant."""
    database = open_database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=pooler)
    try:
        for batch in _batches(rows):
            if is_trial:
                async with database.reading() as session:
                    results = await _decide(session, batch.memberships, now, added=added, is_trial=True)
            else:
                results = await database.transact(partial(_decide, given=batch.memberships, now=now))
            for result in sorted(batch.results + results, key=lambda result: result.line):
                if isinstance(result, Rejection):
                    counts.rejected += result.lines
                    report(result)
                    continue
                counts.imported += result.is_new
                counts.already_there += not result.is_new
                if tell is not None:
                    tell(result)
            progress(rows.bytes_read)
    finally:
        await database.close()
    return counts


def _batches(rows: Source) -> Iterator[_Batch]:
    row_iterator = iter(rows)
    while chunk := list(islice(row_iterator, BATCH)):
        batch = _Batch()
        for row in chunk:
            read = membership_row(row) if isinstance(row, Record) else row
            if isinstance(read, Rejection):
                batch.results.append(read)
            else:
                batch.memberships.append(read)
        yield batch


def membership_row(row: Record) -> Membership | Rejection:
    """The row as a membership, or the reason why it is none, without its values."""
    ids = {name: row.values.get(name) for name in ("tenant_id", "user_id")}
    try:
        for name, value in ids.items():
            if not isinstance(value, str) or not is_storable_id(value):
                raise InvalidInputError.of(name, "must be 1 to 255 characters without control characters")
        role = choice("role", str(row.values.get("role")), Role)
    except InvalidInputError as problem:
        return Rejection(row.line, str(problem), row.last_line)
    return Membership(row.line, str(ids["tenant_id"]), str(ids["user_id"]), role)


async def _decide(
    session: Session,
    given: list[Membership],
    now: datetime,
    *,
    added: defaultdict[str, set[str]] | None = None,
    is_trial: bool = False,
) -> list[Outcome | Rejection]:
    """What becomes of each row; unless it is a trial, with the rows stored. People are locked first."""
    results = list[Outcome | Rejection]()
    user_ids = sorted({row.user_id for row in given})
    people = await people_of(session, user_ids, locked=not is_trial)
    by_tenant = defaultdict[str, list[Membership]](list)
    for row in given:
        by_tenant[row.tenant_id].append(row)
    for tenant_id, rows in sorted(by_tenant.items()):
        asked = [row.user_id for row in rows]
        standing = await standing_of(session, tenant_id, asked, now, locked=not is_trial)
        if standing is not None and added is not None:
            earlier = added[tenant_id]
            standing = TenantStanding(
                standing.status, standing.free - len(earlier), standing.members | earlier
            )
        new = dict[str, Role]()
        results += [_result(row, standing, people, new) for row in rows]
        if added is not None:
            added[tenant_id] |= new.keys()
        if new and not is_trial:
            await add_members(session, tenant_id, new, now)
    return results


def _result(
    row: Membership, standing: TenantStanding | None, people: dict[str, bool], new: dict[str, Role]
) -> Outcome | Rejection:
    """What becomes of a row. A new member is put into ``new``."""
    if standing is None or standing.status is not TenantStatus.ACTIVE:
        reason = "there is no such tenant" if standing is None else f"the tenant is {standing.status}"
        return Rejection(row.line, f"tenant_id: {reason}")
    if row.user_id in standing.members or row.user_id in new:
        return Outcome(row.line, is_new=False)
    if not people.get(row.user_id):
        is_there = row.user_id in people
        reason = "the account is not active" if is_there else "there is no such account"
        return Rejection(row.line, f"user_id: {reason}")
    if len(new) >= standing.free:
        return Rejection(row.line, "tenant_id: the tenant has no seat left (max_members)")
    new[row.user_id] = row.role
    return Outcome(row.line, is_new=True)
