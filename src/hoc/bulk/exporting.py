"""Export of accounts to a file that can be imported again."""

from typing import Final

from hoc.bulk.files import Format
from hoc.cus.account.L6_drivers.bulk_accounts import Output, copy_accounts
from hoc.cus.account.wiring import open_database
from hoc.database import Pooler

STATEMENT_TIMEOUT_MS: Final = 24 * 3_600_000


async def export_accounts(
    url: str,
    output: Output,
    *,
    format: Format,  # noqa: A002 - the usual name
    include_inactive: bool,
    raw: bool = False,
    pooler: Pooler | None = None,
) -> int:
    """Write the accounts as of one moment. Returns how many.

    In CSV, an apostrophe precedes what a spreadsheet would run as a formula, unless ``raw`` is true.

    Raises:
        UnavailableError: the database is away; the output is incomplete.
    """
    database = open_database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=pooler)
    try:
        async with database.transaction() as session:
            return await copy_accounts(
                session,
                output,
                as_json=format is Format.JSONL,
                include_inactive=include_inactive,
                raw=raw,
            )
    finally:
        await database.close()
