"""Two `Database`s in one process, whose servers quote text differently."""

from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
from support.postgres import TestServer, opened

from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountSearchParams
from hoc.cus.account.wiring import create_account_service


async def test_each_database_has_statements_compiled_for_it(
    postgres_server: TestServer, fresh_database_url: str
) -> None:
    """A search term is part of the statement, and standard_conforming_strings says how it is quoted."""
    async with postgres_server.new_database() as other_url, AsyncExitStack() as stack:
        connection = await asyncpg.connect(other_url)
        name = urlsplit(other_url).path[1:]
        await connection.execute(f'ALTER DATABASE "{name}" SET standard_conforming_strings = off')
        await connection.close()
        for url in (fresh_database_url, other_url):
            database = await stack.enter_async_context(opened(url))
            service = create_account_service(database)
            await service.ensure_account(AccountEnsureRequest("o", "o@example.com", r"Miles \ O'Brien"))
            for term in (r"\ o'b", r"\\", "o'brien"):
                found = await service.search_accounts(AccountSearchParams(term))
                assert [account.user_id for account in found] == ([] if term == r"\\" else ["o"])
