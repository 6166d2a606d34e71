"""Recording, or changing, every statement that a Database sends."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from hoc.database import Database
from hoc.database.direct import DirectConnection, Row


def change_statements(database: Database, change: Callable[[str], str]) -> Callable[[], None]:
    """From now on send ``change(sql)`` in place of each statement. Returns a function that ends this."""

    class Changed(DirectConnection):
        async def _fetch(self, sql: str, arguments: Sequence[Any]) -> list[Row]:
            return await super()._fetch(change(sql), arguments)

    def in_transactions(
        _connection: object, _cursor: object, sql: str, parameters: object, _context: object, _many: object
    ) -> tuple[str, object]:
        return change(sql), parameters

    engine = database.engine.sync_engine
    former, database._direct_connection = database._direct_connection, Changed  # pyright: ignore[reportPrivateUsage]
    event.listen(engine, "before_cursor_execute", in_transactions, retval=True)

    def end() -> None:
        database._direct_connection = former  # pyright: ignore[reportPrivateUsage]
        event.remove(engine, "before_cursor_execute", in_transactions)

    return end


@contextmanager
def recorded_statements(database: Database) -> Generator[list[str]]:
    """The statements sent within the block, each on one line."""
    sent: list[str] = []

    def record(sql: str) -> str:
        sent.append(" ".join(sql.split()))
        return sql

    end = change_statements(database, record)
    try:
        yield sent
    finally:
        end()
