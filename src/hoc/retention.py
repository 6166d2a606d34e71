"""Deletes what an operator wants to keep for some days only. Safe to run on several servers at once."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from hoc.cus.account.L5_engines.erasure import Erasure
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L6_drivers.deleted_accounts import FIRST, SqlDeletedAccounts
from hoc.cus.account.L6_drivers.ended_invitations import SqlEndedInvitations
from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions
from hoc.database import Database

ACCOUNTS_AT_ONCE: Final = 20
INVITATIONS_AT_ONCE: Final = 50

_log = logging.getLogger("hoc.housekeeping")


@dataclass(frozen=True, slots=True)
class KeepDays:
    """For how many days each kind is kept. None: for ever."""

    events: int | None = None
    deleted_accounts: int | None = None
    ended_invitations: int | None = None


class Retention:
    def __init__(
        self,
        database: Database,
        erasure: Erasure,
        keep: KeepDays,
        *,
        clock: Clock = utc_now,
        batch: int = INVITATIONS_AT_ONCE,
    ) -> None:
        self._database = database
        self._erasure = erasure
        self._keep = keep
        self._clock = clock
        self._batch = batch
        self._accounts = SqlDeletedAccounts()
        self._invitations = SqlEndedInvitations()
        self._partitions = SqlEventPartitions()
        self._has_warned = False

    async def apply(self) -> None:
        """Delete what is older than its setting says. Without a setting, nothing."""
        if self._keep.deleted_accounts is not None:
            await self._erase_accounts(self._keep.deleted_accounts)
        if self._keep.ended_invitations is not None:
            await self._delete_invitations(self._keep.ended_invitations)
        if self._keep.events is not None:
            await self._drop_months(self._keep.events)

    async def _erase_accounts(self, days: int) -> None:
        """Each in a transaction of its own. One that cannot be erased is passed over until the next round."""
        before = self._clock() - timedelta(days=days)
        last = FIRST
        while True:
            async with self._database.transaction() as session:
                found = await self._accounts.find(session, before=before, after=last, limit=ACCOUNTS_AT_ONCE)
            if not found:
                return
            for last in found:
                try:
                    await self._database.transact(
                        partial(self._erasure.erase_deleted_user, user_id=last.user_id, deleted_before=before)
                    )
                except Exception as problem:  # noqa: BLE001 - one account must not hold up the others
                    # The text of an error that is not hoc's may quote what is personal.
                    why = problem if isinstance(problem, AccountsError) else type(problem).__name__
                    _log.error("the deleted account %s is not erased: %s", last.user_id, why)

    async def _delete_invitations(self, days: int) -> None:
        delete = partial(
            self._invitations.delete, before=self._clock() - timedelta(days=days), limit=self._batch
        )
        while await self._database.transact(delete):
            pass

    async def _drop_months(self, days: int) -> None:
        before = self._clock() - timedelta(days=days)
        async with self._database.transaction() as session:
            months = await self._partitions.before(session, before)
            may_drop = [await self._partitions.may_drop(session, month) for month in months]
        if not all(may_drop) and not self._has_warned:
            _log.warning(
                "events are older than HOC_KEEP_EVENTS_DAYS, and this role may not drop their tables;"
                " run `hoc events prune --keep-days %d` as the tables' owner",
                days,
            )
        self._has_warned = not all(may_drop)
        for month, may in zip(months, may_drop, strict=True):
            if may:
                await self._drop(month)

    async def _drop(self, month: str) -> None:
        try:
            await self._database.transact(partial(self._partitions.drop_passed, partition=month))
        except UnavailableError:
            _log.info("%s was not dropped, because its lock was not granted; it is tried again", month)
