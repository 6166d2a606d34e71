"""Account records, for the identity service. Every method is a transaction of its own."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    String,
    Text,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.autocommit import AutocommitConnection
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.events import (
    UserProfileUpdatedEventData,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountChange,
    AccountChanged,
    AccountFilter,
    AccountProfileResponse,
    AccountStatsResponse,
    AccountSummaryResponse,
)
from hoc.cus.account.L5_schemas.records import EmailAddress, ProfileChange, Slice, Window
from hoc.cus.account.L6_drivers.account_lists import COMMON, LISTS, RARE, STATS, search_values
from hoc.cus.account.L6_drivers.account_status import LOCK, LOCK_TENANTS, SET_ACTIVE
from hoc.cus.account.L6_drivers.outbox import ACTOR, names_of, recorded
from hoc.cus.account.L6_drivers.profiles import SqlProfiles
from hoc.cus.account.L6_drivers.registrations import any_shard, registered
from hoc.cus.account.L6_drivers.statements import (
    NOW,
    USER,
    AnyRow,
    AnySelect,
    any_of,
    fetch_all,
    fetch_one,
    param,
    record_of,
)
from hoc.cus.account.L6_drivers.tables import (
    users,
)
from hoc.database import Database
from hoc.sharing import SharedReads

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


def _update() -> AnySelect:
    before = (
        select(
            *RECORD,
            func.coalesce(NAME, users.c.name).label("new_name"),
            func.coalesce(EMAIL, users.c.email).label("new_email"),
            users.c.email_key,
        )
        .where(users.c.user_id == USER, users.c.is_active)
        .with_for_update(key_share=True)
        .cte("before")
    )
    name_changed = before.c.new_name.is_distinct_from(before.c.name)
    email_changed = before.c.new_email != before.c.email
    written = (
        update(users)
        .where(users.c.user_id == before.c.user_id, or_(name_changed, email_changed))
        .values(
            name=before.c.new_name,
            name_key=func.coalesce(NAME_KEY, users.c.name_key),
            email=before.c.new_email,
            email_key=func.coalesce(EMAIL_KEY, users.c.email_key),
            # Another address has yet to be verified; the same one in another case has been.
            email_verified=users.c.email_verified
            & (func.coalesce(EMAIL_KEY, users.c.email_key) == before.c.email_key),
            version=users.c.version + 1,
            updated_at=NOW,
        )
        .returning(users.c.user_id, users.c.updated_at)
        .cte("written")
    )
    updated = recorded(
        UserProfileUpdatedEventData,
        before.join(written, written.c.user_id == before.c.user_id),
        at=written.c.updated_at,
        user_id=before.c.user_id,
        email=before.c.new_email,
        name=func.coalesce(before.c.new_name, ""),
        updated_fields=names_of(name=name_changed, email=email_changed),
        updated_at=written.c.updated_at,
    )
    return (
        select(  # RECORD, as it is by now
            before.c.user_id,
            before.c.new_email.label("email"),
            before.c.new_name.label("name"),
            before.c.is_active,
            before.c.preferences,
            before.c.created_at,
            func.coalesce(written.c.updated_at, before.c.updated_at).label("updated_at"),
            name_changed.label("name_changed"),
            email_changed.label("email_changed"),
        )
        .select_from(before.outerjoin(written, written.c.user_id == before.c.user_id))
        .add_cte(updated)
    )


UPDATE = _update()

PING = select(literal(1))

_record = record_of(AccountProfileResponse)
_summary = record_of(AccountSummaryResponse)


class AccountRepository:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._profiles = SqlProfiles()
        self._by_id = SharedReads(self._find)
        self._stored = SharedReads(self._find_stored)
        self._by_email = SharedReads(self._find_by_email)

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

        if (there := await self._stored.get(user_id)) is not None:
            return there, False

        async def ensured(session: AutocommitConnection) -> AnyRow | None:
            # Again when nothing came back: a rival's row, committed meanwhile, shows to a new statement.
            return await fetch_one(session, ENSURE, **values) or await fetch_one(session, ENSURE, **values)

        row = await self._database.write(ensured)
        return None if row is None else (_record(row), row.was_created)

    async def update_account_profile(
        self, user_id: str, change: AccountChange, now: datetime, *, actor: str | None
    ) -> AccountChanged | None:
        address = change.address

        async def changed_by(session: AutocommitConnection) -> AnyRow | None:
            return await fetch_one(
                session,
                UPDATE,
                user_id=user_id,
                name=change.name,
                name_key=change.name_key,
                email=None if address is None else address.given,
                email_key=None if address is None else address.key,
                now=now,
                actor=actor,
            )

        # Two accounts that take each other's address wait for each other: one has to begin again.
        row = await self._database.write(changed_by)
        if row is None:
            return None
        changed = {"name": row.name_changed, "email": row.email_changed}
        return AccountChanged(_record(row), [field for field, is_changed in changed.items() if is_changed])

    async def update_account_preferences(
        self,
        user_id: str,
        preferences: dict[str, Any],
        *,
        max_bytes: int,
        now: datetime,
        actor: str | None,
    ) -> bool | None:
        """None when they would be too large."""
        change = ProfileChange(None, None, None, preferences, None, max_bytes)
        outcome = await self._database.write(
            lambda session: self._profiles.update(session, user_id, change, now, actor=actor)
        )
        if outcome is None:
            return False
        return None if outcome.is_too_large else True

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

        # Whoever joins with a new account counts it before the member; this counts the member first.
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
