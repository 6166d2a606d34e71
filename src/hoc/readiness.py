"""Whether the database is as this version needs it: it answers, can be written, and has the schema."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L6_drivers.errors import unfit_database
from hoc.cus.account.L6_drivers.event_partitions import HAS_PARTITION_NOW
from hoc.cus.account.L6_drivers.tables import SCHEMA
from hoc.database import Database, sqlstate
from hoc.database.migrations import NewerSchemaError, newest_revision, revisions
from hoc.database.outages import DRIVER_ERRORS, OUTAGES, UNFIT

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

    While the schema is missing or older than this version's, `require_schema` raises. Each change is logged
    once. On a newer schema hoc works.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
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
                [state] = await self._database.probe(_STATE)
        except DRIVER_ERRORS as problem:
            return self._refused(sqlstate(problem) or "")
        except (OSError, TimeoutError, PoolTimeoutError) as problem:
            state_of_refusal = sqlstate(problem)
            return self._refused(state_of_refusal) if state_of_refusal else _SILENT
        lack = _schema_problem(state.revision)
        self._note_schema(lack)
        if lack is not None:
            return lack
        self._note_newer(state.revision)
        if state.is_read_only:
            return "the database is read-only"
        if not state.has_partition:
            return "the partition of this month's events is missing: run `hoc migrate` as the tables' owner"
        return None

    async def _look(self) -> None:
        await self.check()

    def _refused(self, state: str) -> str:
        if state in _MISSING:
            problem = _NOT_MIGRATED
            self._note_schema(problem)
            return problem
        known = (
            UNFIT.get(state) or OUTAGES.get(state) or OUTAGES.get(state[:2], "the database does not answer")
        )
        return f"{known} (SQLSTATE {state})" if state else known

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
