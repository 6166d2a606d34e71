"""Profiles, read within a tenant and updated everywhere."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import select

from hoc.cus.account.L5_schemas.port_types import UPDATABLE, AccountPatch, PatchRefusal, Versioned
from hoc.cus.account.L5_schemas.results import (
    PROFILE_EXTRAS,
    ExtendedProfileResult,
    ExtendedProfileUpdateResult,
    OwnProfileResult,
)
from hoc.cus.account.L6_drivers.account_updates import AccountUpdate
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import TENANT, USER, membership_of
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import tenants, users

_member = membership_of(TENANT, USER)

FIND = (
    select(
        users.c.user_id,
        users.c.email,
        users.c.name,
        users.c.avatar_url,
        tenants.c.tenant_id,
        tenants.c.name.label("tenant_name"),
        _member.c.role,
        users.c.created_at,
        users.c.preferences,
        *(users.c[name] for name in PROFILE_EXTRAS),
        users.c.timezone,
        users.c.version,
    )
    .join_from(_member, users, users.c.user_id == _member.c.user_id)
    .join(tenants, tenants.c.tenant_id == _member.c.tenant_id)
    .where(tenants.c.tenant_id == TENANT, _member.c.is_active)
)

OWN = select(
    *(users.c[each.name] for each in fields(OwnProfileResult)),
    users.c.version,
).where(users.c.user_id == USER, users.c.is_active)

_COLUMNS = (name for name in UPDATABLE if name not in {"email", "email_verified"})

UPDATE = AccountUpdate(*_COLUMNS, result=ExtendedProfileUpdateResult)

_profile = record_of(ExtendedProfileResult, FIND)
_own = record_of(OwnProfileResult, OWN)
_updated = record_of(ExtendedProfileUpdateResult, UPDATE.statement())


class SqlProfiles:
    async def find(
        self, session: SqlSession, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedProfileResult] | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, user_id=user_id)
        return None if row is None else Versioned(_profile(row), row.version)

    async def own(self, session: SqlSession, user_id: str) -> Versioned[OwnProfileResult] | None:
        row = await fetch_one(session, OWN, user_id=user_id)
        return None if row is None else Versioned(_own(row), row.version)

    async def update(
        self,
        session: SqlSession,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
        max_preferences_bytes: int,
    ) -> Versioned[ExtendedProfileUpdateResult] | PatchRefusal | None:
        row = await UPDATE.run(
            session,
            user_id,
            patch,
            now,
            actor=actor,
            expected_version=expected_version,
            max_preferences_bytes=max_preferences_bytes,
        )
        if row is None:
            return None
        if row.is_stale:
            return PatchRefusal.STALE
        return PatchRefusal.TOO_LARGE if row.is_too_large else Versioned(_updated(row), row.version)
