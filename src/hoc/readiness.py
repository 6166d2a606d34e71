"""Whether the database is as this version needs it: it answers, can be written, and has the schema."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import text

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L6_drivers.errors import unfit_database
from hoc.cus.account.L6_drivers.event_partitions import HAS_PARTITION_NOW
from hoc.cus.account.L6_drivers.grants import MISSING_GRANTS
from hoc.cus.account.L6_drivers.tables import SCHEMA
from hoc.database import Database, NotConnectedError, Pooler, sqlstate
from hoc.database.migrations import NewerSchemaError, newest_revision, revisions
from hoc.database.outages import DRIVER_ERRORS, NOT_REACHED, meaning
from hoc.database.pooler import MISSING_LIMITS, POOLER_FOUND

TIMEOUT_SECONDS: Final = 0.8
PAUSE_SECONDS: Final = 5.0

_SILENT: Final = "the database does not answer"
_NOT_MIGRATED: Final = "the database has not been migrated: run `hoc migrate`"
_MISSING: Final = {"3F000", "42P01"}
_STATE: Final = text(
    f"SELECT (SELECT version_num FROM {SCHEMA}.alembic_version) AS revision,"  # noqa: S608 - constants
    " CAST(current_setting('transaction_read_only') AS boolean) AS is_read_only,"
    f" {HAS_PARTITION_NOW} AS has_partition"
)

_log = logging.getLogger("hoc.database")


class Readiness:
    """Looks at the database every five seconds while `running`, and when `check` is called.

    It does not write: that writes fail is known from the latest one.

    While the schema is missing or older than this version's, `require_schema` raises. Each change is logged
    once. On a newer schema hoc works.
    """

    def __init__(self, database: Database, *, pooler: Pooler | None = None) -> None:
        self._database = database
        self._may_lack_limits = pooler == "transaction"
        self._lacks_schema = False
        self._logged: str | None = None
        self._newer: str | None = None
        self._loop = BackgroundLoop(
            self._look,
            name="hoc-readiness",
            subject="readiness",
            pause_seconds=PAUSE_SECONDS,
            explain=lambda _problem: None,
            logger=_log,
        )

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._loop.running()

    def require_schema(self) -> None:
        """Raise UnfitDatabaseError while the database has no schema that this version works on."""
        if self._lacks_schema:
            raise unfit_database()

    async def check(self) -> str | None:
        """Return why the database is not ready, or None. It answers within a second."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._check()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the service is not ready
            return self._failed(problem)

    async def _check(self) -> str | None:
        try:
            [state] = await self._database.probe(_STATE)
        except DRIVER_ERRORS as problem:
            if sqlstate(problem) not in _MISSING:
                raise
            self._note_schema(_NOT_MIGRATED)
            return _NOT_MIGRATED
        lack = _schema_problem(state.revision)
        self._note_schema(lack)
        if lack is not None:
            return lack
        self._note_newer(state.revision)
        if self._may_lack_limits:
            await self._look_for_limits()
        if state.is_read_only:
            self._database.drop_connections()
            return "the database is read-only"
        if not state.has_partition:
            return "the partition of this month's events is missing: run `hoc migrate` as the tables' owner"
        if missing := await self._database.probe(MISSING_GRANTS):
            return f"the role lacks {missing[0].missing}: run the SQL of `hoc grants`"
        return self._database.write_trouble()

    async def _look(self) -> None:
        await self.check()

    async def _look_for_limits(self) -> None:
        """Warn, once, where no limit ends what hangs: behind a pooler hoc cannot set its own."""
        missing = await self._database.probe(MISSING_LIMITS)
        self._may_lack_limits = False
        for limit in missing:
            _log.warning("behind the pooler, %s is 0, so nothing ends what hangs: run %s", *limit)

    def _failed(self, problem: Exception) -> str:
        if isinstance(problem, NotConnectedError) and problem.finds_pooler:
            return POOLER_FOUND
        state = sqlstate(problem)
        if state is not None:
            return f"{meaning(state) or _SILENT} (SQLSTATE {state})"
        if not isinstance(problem, DRIVER_ERRORS + NOT_REACHED):
            _log.error("the check of the database failed", exc_info=problem)
        return _SILENT

    def _note_schema(self, problem: str | None) -> None:
        was_lacking, self._lacks_schema = self._lacks_schema, problem is not None
        if problem == self._logged:
            return
        self._logged = problem
        if problem is not None:
            _log.error("%s; until then every request is answered 503", problem)
        elif was_lacking:
            _log.info("the database has this version's schema now")

    def _note_newer(self, revision: str) -> None:
        if revision != self._newer and revision not in revisions():
            self._newer = revision
            _log.warning("%s", NewerSchemaError(revision))


def _schema_problem(revision: str | None) -> str | None:
    if revision is None:
        return _NOT_MIGRATED
    if revision != newest_revision() and revision in revisions():
        newest = newest_revision()
        return f"the database is at revision {revision}, and must be at {newest}: run `hoc migrate`"
    return None
