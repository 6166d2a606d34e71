"""Reads that may be a little old: on the replica, where there is one."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hoc.database.connections import Database
from hoc.database.consistency_tokens import position_of, token_of
from hoc.database.direct import DirectConnection
from hoc.database.replica import Replica

T = TypeVar("T")


class Reads:
    """Reads of ``database``; ``replica`` is a standby of it, or None."""

    def __init__(self, database: Database, replica: Replica | None) -> None:
        self._database = database
        self.replica = replica

    async def run(
        self,
        work: Callable[[DirectConnection], Awaitable[T]],
        *,
        token: str | None = None,
        after: int = 0,
    ) -> T:
        """Run ``work``, which reads by an engine on the session that it is given.

        With a ``token``, or a position of the log as ``after``, it sees all that was committed before. Rights
        are read on the primary. When the replica fails, ``work`` runs again, there::

            await accounts.reads.run(lambda session: facade.audit.list(session, tenant_id, user_id))
        """
        if self.replica is not None:
            position = after if token is None else max(after, position_of(token))
            return await self.replica.read(work, after=position)
        async with self._database.reading() as session:
            return await work(session)

    async def token(self) -> str | None:
        """A token for all that has been committed; None without a replica, or without the database's answer.

        It is what ``Consistency-Token`` carries over HTTP.
        """
        position = None if self.replica is None else await self.replica.written()
        return None if position is None else token_of(position)
