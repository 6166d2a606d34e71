"""A primary and its standby, whose replay a test holds and lets go."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg
from support.command_line import open_directory
from support.own_postgres import OwnPostgres, own_postgres, standby_of
from support.postgres import run_beside
from support.waiting import until

from hoc.migrations import migrate


@dataclass(frozen=True, slots=True)
class Replicated:
    primary: OwnPostgres
    standby: OwnPostgres

    async def pause(self) -> None:
        """Have the standby apply nothing more, after all that is committed."""
        await self.catch_up()
        await superuser(self.standby, "SELECT pg_wal_replay_pause()")
        await until(lambda: superuser(self.standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'"))

    async def resume(self) -> None:
        await superuser(self.standby, "SELECT pg_wal_replay_resume()")

    async def catch_up(self) -> None:
        """Wait until the standby has applied all that is committed."""
        position = await superuser(self.primary, "SELECT pg_current_wal_flush_lsn()::text")
        await until(
            lambda: superuser(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn")
        )


async def superuser(server: OwnPostgres, *statements: str) -> object:
    """The first value of the last statement."""
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", database="postgres"
    )
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


@contextmanager
def replicated() -> Generator[Replicated]:
    """Run both during the block, migrated. The standby cancels a read at once that replay waits for."""
    with open_directory() as place, own_postgres(place / "data") as primary:
        primary.admit(
            "host all,replication postgres 127.0.0.1/32 trust", "host all hoc 127.0.0.1/32 scram-sha-256"
        )
        run_beside(migrate(primary.url))
        with standby_of(primary) as standby:
            run_beside(
                superuser(
                    standby, "ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()"
                )
            )
            yield Replicated(primary, standby)
