"""Creates accounts with a hook, each in a process that is killed while its nth statement is under way.

``python -m support.hook_process URL`` prints each process's account and the statement's first word. The last
process ends by itself. COMMIT counts as a statement.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from support.pgbouncer import through
from support.postgres import POOLER

from hoc.cus.account.L5_schemas.events import UserCreatedEventData
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.cus.account.wiring import create_account_service, open_database
from hoc.database import Database

NOTE = text("INSERT INTO host_notes (user_id) VALUES (:user_id)")


def say(word: str, end: str = "\n") -> None:
    print(word, end=end, flush=True)  # noqa: T201 - the test reads it


async def note(session: AsyncSession, created: UserCreatedEventData) -> None:
    await session.execute(NOTE, {"user_id": created.user_id})


class Killer:
    """Kills this process when the ``at``-th statement has been sent, and before its answer is read."""

    def __init__(self, at: int) -> None:
        self._left = at

    def listen(self, database: Database) -> None:
        engine = database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", self._commit)

    def _execute(self, _connection: object, _cursor: object, sql: str, *_others: Any) -> None:
        self._count(sql.split(maxsplit=1)[0])

    def _commit(self, _connection: object) -> None:
        self._count("COMMIT")

    def _count(self, word: str) -> None:
        self._left -= 1
        if self._left == 0:
            say(word)
            # The driver writes to the socket before the event loop runs this.
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGKILL)


async def create(url: str, user_id: str, at: int) -> None:
    database = open_database(through(url), pool_size=2, pooler=POOLER)
    service = create_account_service(database, hooks={"user.created": note})
    await database.probe(text("SELECT 1"))  # so that no statement of the connecting is counted
    Killer(at).listen(database)
    await service.ensure_account(AccountEnsureRequest(user_id, f"{user_id}@example.com", "Ada"))
    await database.close()


def main(url: str) -> None:
    is_killed, at = True, 0
    while is_killed:
        at += 1
        say(f"u{at}", end=" ")
        if (child := os.fork()) == 0:
            asyncio.run(create(url, f"u{at}", at))
            say("end")
            os._exit(0)
        is_killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1])
