"""Account records, for the identity service. Every method is a transaction of its own."""

from datetime import datetime, timedelta

from sqlalchemy import (
    String,
    Text,
    false,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.batching import BatchLoader
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.identity import (
    AccountFilter,
    AccountProfileResponse,
    AccountStatsResponse,
    AccountSummaryResponse,
)
from hoc.cus.account.L5_schemas.port_types import AccountPatch, EmailAddress, PatchRefusal, Slice, Window
from hoc.cus.account.L6_drivers.account_inserts import any_shard, registered
from hoc.cus.account.L6_drivers.account_lists import COMMON, LISTS, RARE, STATS, search_values
from hoc.cus.account.L6_drivers.account_status import LOCK, LOCK_TENANTS, SET_ACTIVE
from hoc.cus.account.L6_drivers.account_updates import AccountUpdate
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, USER, any_of
from hoc.cus.account.L6_drivers.outbox import ACTOR
from hoc.cus.account.L6_drivers.profiles import SqlProfiles
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import (
    users,
)
from hoc.database import Database
from hoc.database.direct import DirectConnection

EMAIL = param("email", String)
EMAIL_KEY = param("email_key", String)
NAME = param("name", String)
NAME_KEY = param("name_key", Text)

RECORD = (
    users.c.user_id,
    users.c.email,
    users.c.name,
    users.c.is_active,
    users.c.preferences,
    users.c.created_at,
    users.c.updated_at,
)

FIND = select(*RECORD).where(any_of(users.c.user_id, "user_ids"), users.c.is_active)
FIND_STORED = select(*RECORD).where(any_of(users.c.user_id, "user_ids"))
FIND_BY_EMAIL = select(*RECORD, users.c.email_key).where(
    any_of(users.c.email_key, "email_keys"), users.c.is_active
)


def _ensure() -> AnySelect:
    stored, *counted = registered(
        insert(users)
        .values(
            user_id=USER,
            email=EMAIL,
            email_key=EMAIL_KEY,
            name=NAME,
            name_key=NAME_KEY,
            created_at=NOW,
            updated_at=NOW,
        )
        .on_conflict_do_nothing(),
        actor=ACTOR,
    )
    made = select(*(stored.c[column.name] for column in RECORD), true().label("was_created"))
    there = select(*RECORD, false().label("was_created")).where(
        users.c.user_id == USER, ~select(stored.c.user_id).exists()
    )
    both = union_all(made, there).subquery("both")
    return select(both).add_cte(*counted)


ENSURE = _ensure()


UPDATE = AccountUpdate("name", "email", result=AccountProfileResponse)

PING = select(literal(1))

_record = record_of(AccountProfileResponse, FIND, FIND_STORED, FIND_BY_EMAIL, ENSURE, UPDATE.statement)
_summary = record_of(AccountSummaryResponse, *LISTS.values(), *RARE.values(), *COMMON.values())


class AccountRepository:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._profiles = SqlProfiles()
        self._by_id = BatchLoader(self._find)
        self._stored = BatchLoader(self._find_stored)
        self._by_email = BatchLoader(self._find_by_email)

    async def get_account_by_id(self, user_id: str) -> AccountProfileResponse | None:
        return await self._by_id.get(user_id)

    async def get_account_by_email(self, email_key: str) -> AccountProfileResponse | None:
        return await self._by_email.get(email_key)

    async def _find(self, user_ids: list[str]) -> dict[str, AccountProfileResponse]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND, user_ids=user_ids)
        return {row.user_id: _record(row) for row in rows}

    async def _find_stored(self, user_ids: list[str]) -> dict[str, AccountProfileResponse]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_STORED, user_ids=user_ids)
        return {row.user_id: _record(row) for row in rows}

    async def _find_by_email(self, email_keys: list[str]) -> dict[str, AccountProfileResponse]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_BY_EMAIL, email_keys=email_keys)
        return {row.email_key: _record(row) for row in rows}

    async def ensure_account_exists(
        self,
        user_id: str,
        address: EmailAddress,
        name: str,
        *,
        name_key: str,
        now: datetime,
        actor: str | None,
    ) -> tuple[AccountProfileResponse, bool] | None:
        values = {
            "user_id": user_id,
            "email": address.given,
            "email_key": address.key,
            "name": name,
            "name_key": name_key,
            "now": now,
            "actor": actor,
            "shard": any_shard(),
        }

        if (stored := await self._stored.get(user_id)) is not None:
            return stored, False

        async def ensured(session: DirectConnection) -> AnyRow | None:
            # A second time when nothing came back: a rival's row, committed meanwhile, is visible only to a
            # new statement.
            return await fetch_one(session, ENSURE, **values) or await fetch_one(session, ENSURE, **values)

        row = await self._database.write(ensured)
        return None if row is None else (_record(row), row.was_created)

    async def update_account_profile(
        self, user_id: str, patch: AccountPatch, now: datetime, *, actor: str | None
    ) -> AccountProfileResponse | None:
        # Two accounts that take each other's address wait for each other: one of them has to begin again.
        row = await self._database.write(
            lambda session: UPDATE.run(session, user_id, patch, now, actor=actor)
        )
        return None if row is None else _record(row)

    async def update_account_preferences(
        self, user_id: str, patch: AccountPatch, now: datetime, *, max_bytes: int, actor: str | None
    ) -> PatchRefusal | bool:
        outcome = await self._database.write(
            lambda session: self._profiles.update(
                session, user_id, patch, now, actor=actor, max_preferences_bytes=max_bytes
            )
        )
        return outcome if isinstance(outcome, PatchRefusal) else outcome is not None

    async def set_account_status(
        self,
        user_id: str,
        *,
        is_active: bool,
        is_deleted: bool = False,
        now: datetime,
        reason: str | None,
        actor: str | None,
    ) -> bool:
        async def change(session: AsyncConnection) -> bool:
            if await fetch_one(session, LOCK, user_id=user_id) is None:
                return False
            await fetch_all(session, LOCK_TENANTS, user_id=user_id)
            await fetch_one(
                session,
                SET_ACTIVE,
                user_id=user_id,
                is_active=is_active,
                is_deleted=is_deleted,
                now=now,
                reason=reason,
                actor=actor,
                shard=any_shard(),
            )
            return True

        # Can deadlock with accepting an invitation, which locks account_totals before member_counts, and
        # SET_ACTIVE in the other order. `transact` runs the loser again.
        return await self._database.transact(change)

    async def list_accounts(
        self, wanted: AccountFilter, window: Window, *, max_counted: int
    ) -> tuple[Slice[AccountSummaryResponse], bool]:
        async with self._database.reading() as session:
            if wanted.term is None:
                return await LISTS[wanted.is_active].fetch(session, window, _summary), False
            values = search_values(wanted.term) | {"max_counted": max_counted}
            found = await RARE[wanted.is_active].fetch(session, window, _summary, **values)
            if found.total <= max_counted:
                return found, False
            return await COMMON[wanted.is_active].fetch(session, window, _summary, **values), True

    async def get_account_stats(self, now: datetime) -> AccountStatsResponse:
        async with self._database.reading() as session:
            [row] = await fetch_all(
                session, STATS, last_7d=now - timedelta(days=7), last_30d=now - timedelta(days=30)
            )
        return AccountStatsResponse(
            total_accounts=row.total,
            active_accounts=row.active,
            inactive_accounts=row.total - row.active,
            recent_registrations_7d=row.last_7d,
            recent_registrations_30d=row.last_30d,
        )

    async def check_connection(self) -> bool:
        try:
            async with self._database.reading() as session:
                await fetch_one(session, PING)
        except UnavailableError:
            return False
        return True
