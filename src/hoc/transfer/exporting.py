"""Accounts to a file that can be imported again."""

from typing import Final

from hoc.cus.account.L6_drivers.transfers import Output, copy_accounts
from hoc.database import Database
from hoc.transfer.files import Format

STATEMENT_TIMEOUT_MS: Final = 24 * 3_600_000


async def export_accounts(url: str, output: Output, *, format: Format, include_inactive: bool) -> int:  # noqa: A002 - what it is called everywhere
    """Write all active accounts, or all there are, as they are at one moment; how many.

    Raises:
        UnavailableError: the database is away; what was written is not all.
    """
    database = Database(url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        async with database.transaction() as session:
            return await copy_accounts(
                session, output, as_json=format is Format.JSONL, include_inactive=include_inactive
            )
    finally:
        await database.close()
