"""What ensuring an account reads and writes: existing accounts are only read, and new ones only written."""

import pytest
from support.seed import execute
from support.statements import recorded_statements
from support.world import PostgresWorld

from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.database import Database


class Ensured:
    """Accounts of one service: whether each was created, and the kinds of statements that this took."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._world = PostgresWorld(database)

    async def account(self, user_id: str) -> tuple[bool, list[str]]:
        request = AccountEnsureRequest(user_id, f"{user_id}@example.com", "Grace")
        with recorded_statements(self._database) as sent:
            _, was_created = await self._world.accounts.ensure_account(request)
        return was_created, ["write" if "INSERT" in sql else "read" for sql in sent]


async def test_after_a_new_account_the_next_is_stored_without_a_look(fresh_database: Database) -> None:
    ensured = Ensured(fresh_database)
    assert await ensured.account("usr_1") == (True, ["read", "write"])
    assert await ensured.account("usr_2") == (True, ["write"])
    assert await ensured.account("usr_1") == (False, ["write"]), "it finds an existing account, too"
    assert await ensured.account("usr_2") == (False, ["read"])
    assert await ensured.account("usr_3") == (True, ["read", "write"])


async def test_while_nothing_can_be_written_existing_accounts_are_read(fresh_database: Database) -> None:
    ensured = Ensured(fresh_database)
    await ensured.account("usr_1")
    await execute(fresh_database, "ALTER TABLE account.outbox RENAME TO away")
    with pytest.raises(UnavailableError):
        await ensured.account("usr_1")
    assert await ensured.account("usr_1") == (False, ["read"])
