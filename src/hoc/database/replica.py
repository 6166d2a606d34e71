"""Reads from a standby, as long as it is fresh enough; all others from the primary."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import text

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.single_flight import SingleFlight
from hoc.database.connections import Database
from hoc.database.consistency_tokens import NOWHERE
from hoc.database.direct import DirectConnection
from hoc.database.outages import DRIVER_ERRORS, NOT_REACHED, is_outage, meaning, sqlstate

T = TypeVar("T")

PAUSE_SECONDS: Final = 5.0
"""After how long a replica that failed or lagged is looked at again."""

_LOOK_SECONDS: Final = 1.0
_LOOKS_AN_AGE: Final = 4
_MAX_PAUSE_SECONDS: Final = 1.0
_MAX_UNREACHED: Final = 10_000
_SILENT: Final = "it does not answer"

_WRITTEN: Final = text("SELECT pg_current_wal_insert_lsn() AS position")
_PRIMARY: Final = text(
    "SELECT pg_current_wal_insert_lsn() AS position, system_identifier, current_database() AS database"
    " FROM pg_control_system()"
)
_STANDBY: Final = text(
    "SELECT pg_last_wal_replay_lsn() AS position, system_identifier, current_database() AS database,"
    " pg_is_in_recovery() AS is_standby FROM pg_control_system()"
)

_log = logging.getLogger("hoc.database")


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """``lag_seconds``: so old is the newest state that the replica is known to have."""

    is_read: bool
    lag_seconds: float
    reason: str | None


class UnfitReplicaError(Exception):
    """The server is no standby of the primary."""


class Replica:
    """A standby of ``primary``, at ``standby``. Both must raise the same errors.

    What a read there shows is at most ``staleness_seconds`` old: the replica has replayed the primary's log
    up to where it was then. While `running`, the primary is asked four times in that time, and at least once
    a second, where its log is.

    A replica that is away, cancels a read or lags by more is looked at again after five seconds. Until it is
    found fit, reads go to the primary; nobody sees an error.
    """

    def __init__(self, primary: Database, standby: Database, *, staleness_seconds: float) -> None:
        self._primary = primary
        self.standby = standby
        self._staleness = staleness_seconds
        self._written = SingleFlight[int]()
        self._writers: dict[Hashable, int] = {}
        self._doubted: dict[Hashable, float] = {}
        self._samples: deque[tuple[float, int]] = deque()
        self._unreached: deque[tuple[float, int]] = deque(maxlen=_MAX_UNREACHED)
        self._reached_at: float | None = None
        self._resting_until = 0.0
        self._trouble: str | None = None
        self._identity: tuple[int, str] | None = None
        self._asking: asyncio.Task[str | None] | None = None
        # By connection, because several standbys may be behind one address.
        self._positions: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._loop = BackgroundLoop(
            self._look,
            name="hoc-replica",
            subject="the replica's lag",
            pause_seconds=min(staleness_seconds / _LOOKS_AN_AGE, _MAX_PAUSE_SECONDS),
            explain=_explain,
            logger=_log,
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Let reads use the replica during the block; then close the connections to it."""
        try:
            async with self._loop.running():
                yield
        finally:
            if self._asking is not None:
                await asyncio.wait([self._asking])
            self._resting_until, self._trouble = 0.0, None
            self._samples.clear()
            await self.standby.close()

    async def read(self, work: Callable[[DirectConnection], Awaitable[T]], *, after: int = 0) -> T:
        """Run ``work``, which only reads, on the replica if it has the position ``after``.

        Otherwise, and again when the replica fails, it runs on the primary.
        """
        required = self._required(after)
        if required is not None:
            try:
                async with self.standby.unguarded() as session:
                    if await self._has(session, required):
                        session.primary = self._primary.reading
                        return await work(session)
            except UnfitReplicaError as problem:
                self._rest(str(problem))
            except DRIVER_ERRORS + NOT_REACHED as problem:
                if is_outage(problem):
                    self._rest(_reason(problem))
        async with self._primary.reading() as session:
            return await work(session)

    async def written(self) -> int | None:
        """The position in the primary's log behind all that has been committed; None if it does not say."""
        try:
            return await self._written.get("", self._read_written)
        except DRIVER_ERRORS + NOT_REACHED:
            return None

    def remember(self, who: Hashable, position: int | None) -> None:
        """Have `position_of` this writer be ``position`` while the replica may lack it. None: `doubt`."""
        if position is None:
            self.doubt(who)
        elif self._samples:  # without them nobody reads the replica, and nothing would ever forget this
            self._writers[who] = max(position, self._writers.get(who, 0))

    def doubt(self, who: Hashable) -> None:
        """Somebody may have written: `position_of` is `NOWHERE` until the primary says where its log is."""
        if self._samples:
            self._doubted[who] = time.monotonic()

    def position_of(self, who: Hashable) -> int:
        """The position that a read for somebody must have; 0 for any."""
        return NOWHERE if who in self._doubted else self._writers.get(who, 0)

    @property
    def status(self) -> ReplicaStatus:
        lag = 0.0 if self._reached_at is None else time.monotonic() - self._reached_at
        return ReplicaStatus(self._required(0) is not None, lag, self._trouble)

    def _required(self, after: int) -> int | None:
        """The position that the replica must have for a read now. None: the primary is to be read."""
        if self._trouble is not None:
            return None
        oldest = time.monotonic() - self._staleness
        base = next((position for at, position in self._samples if at >= oldest), None)
        return None if base is None else max(base, after)

    async def _has(self, session: DirectConnection, required: int) -> bool:
        known = self._positions.get(session.driver, 0)
        if known < required:
            known = self._positions[session.driver] = await self._position_of(session)
        return known >= required

    async def _position_of(self, session: DirectConnection) -> int:
        [found] = await session.execute(_STANDBY)
        if (found.system_identifier, found.database) != self._identity:
            raise UnfitReplicaError("it belongs to another primary, or is another database")
        if not found.is_standby or found.position is None:
            raise UnfitReplicaError("it is no standby, or does not say how much it has replayed")
        position: int = found.position
        return position

    async def _read_written(self) -> int:
        [found] = await self._primary.probe(_WRITTEN)
        position: int = found.position
        return position

    async def _look(self) -> None:
        began = time.monotonic()
        [primary] = await self._primary.probe(_PRIMARY)
        self._identity = (primary.system_identifier, primary.database)
        self._sample(began, primary.position)
        if began < self._resting_until:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # It ends by itself. Cancelled while it connects, it would leave a connection open.
        await asyncio.wait([self._asking], timeout=_LOOK_SECONDS)
        trouble = self._asking.result() if self._asking.done() else _SILENT
        lag = began - (self._reached_at or began)
        if trouble is None and lag > self._staleness:
            trouble = f"it lags {lag:.1f} s behind"
        if trouble is not None:
            self._rest(trouble)
        elif self._trouble is not None:
            self._trouble = None
            _log.info("the replica is read again")

    async def _ask(self) -> str | None:
        """Note what the replica has replayed. Returns why it does not say."""
        try:
            async with self.standby.unguarded() as session:
                self._reach(await self._position_of(session))
        except (UnfitReplicaError, *DRIVER_ERRORS, *NOT_REACHED) as problem:
            return _reason(problem)
        return None

    def _sample(self, at: float, position: int) -> None:
        self._reached_at = self._reached_at or at
        self._samples.append((at, position))
        self._unreached.append((at, position))
        while self._samples[0][0] < at - self._staleness:
            self._samples.popleft()
        for who in [who for who, since in self._doubted.items() if since < at]:
            del self._doubted[who]
            self.remember(who, position)
        base = self._samples[0][1]
        self._writers = {who: written for who, written in self._writers.items() if written > base}

    def _reach(self, position: int) -> None:
        while self._unreached and self._unreached[0][1] <= position:
            self._reached_at = self._unreached.popleft()[0]

    def _rest(self, reason: str) -> None:
        self._resting_until = time.monotonic() + PAUSE_SECONDS
        if self._trouble is None:
            _log.warning("the replica is not read for now: %s", reason)
        self._trouble = reason


def _explain(problem: Exception) -> str | None:
    """Readiness logs why the primary does not answer."""
    return "" if isinstance(problem, DRIVER_ERRORS + NOT_REACHED) else None


def _reason(problem: Exception) -> str:
    state = sqlstate(problem)
    if isinstance(problem, UnfitReplicaError):
        return str(problem)
    if state is None:
        return _SILENT
    return f"{meaning(state) or 'it refused a statement'} (SQLSTATE {state})"
