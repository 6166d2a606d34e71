"""Profiles: a user's own fields, and preferences merged where they are stored."""

from datetime import datetime

from sqlalchemy import Integer, String, Text, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from hoc.cus.account.L5_schemas.events import UserProfileUpdatedEventData
from hoc.cus.account.L5_schemas.records import ProfileChange, ProfileChanged, Versioned
from hoc.cus.account.L5_schemas.results import ProfileResult, ProfileUpdateResult
from hoc.cus.account.L6_drivers.outbox import names_of, recorded
from hoc.cus.account.L6_drivers.statements import (
    NOW,
    TENANT,
    USER,
    AnySelect,
    SqlSession,
    fetch_one,
    membership_of,
    param,
    record_of,
)
from hoc.cus.account.L6_drivers.tables import SCHEMA, tenants, users

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
        users.c.version,
    )
    .join_from(_member, users, users.c.user_id == _member.c.user_id)
    .join(tenants, tenants.c.tenant_id == _member.c.tenant_id)
    .where(_member.c.tenant_id == TENANT, _member.c.user_id == USER, _member.c.is_active)
)


def _update() -> AnySelect:
    """Lock, merge, judge and write in one statement; its answer is the row as it is then."""
    merge_patch = getattr(func, SCHEMA).json_merge_patch
    before = (
        select(
            users.c.user_id,
            func.coalesce(param("display_name", String), users.c.name).label("name"),
            func.coalesce(param("timezone", String), users.c.timezone).label("timezone"),
            merge_patch(users.c.preferences, param("patch", JSONB), type_=JSONB).label("preferences"),
            users.c.email,
            users.c.name.label("old_name"),
            users.c.timezone.label("old_timezone"),
            users.c.preferences.label("old_preferences"),
            users.c.updated_at,
            users.c.version,
        )
        .where(users.c.user_id == USER, users.c.is_active)
        .with_for_update(key_share=True)
        .cte("before")
    )
    expected = param("expected_version", Integer)
    is_stale = (before.c.version != func.coalesce(expected, before.c.version)).label("is_stale")
    size = func.octet_length(before.c.preferences.cast(String))
    is_too_large = (size > param("max_bytes", Integer)).label("is_too_large")
    judged = select(
        before,
        is_stale,
        is_too_large,
        before.c.name.is_distinct_from(before.c.old_name).label("name_changed"),
        before.c.timezone.is_distinct_from(before.c.old_timezone).label("timezone_changed"),
        (before.c.preferences != before.c.old_preferences).label("preferences_changed"),
    ).cte("judged")
    written = (
        update(users)
        .where(
            users.c.user_id == judged.c.user_id,
            or_(judged.c.name_changed, judged.c.timezone_changed, judged.c.preferences_changed),
            ~judged.c.is_stale,
            ~judged.c.is_too_large,
        )
        .values(
            name=judged.c.name,
            name_key=func.coalesce(param("name_key", Text), users.c.name_key),
            timezone=judged.c.timezone,
            preferences=judged.c.preferences,
            version=users.c.version + 1,
            updated_at=NOW,
        )
        .returning(users.c.user_id, users.c.version, users.c.updated_at)
        .cte("written")
    )
    updated = recorded(
        UserProfileUpdatedEventData,
        judged.join(written, written.c.user_id == judged.c.user_id),
        at=written.c.updated_at,
        user_id=judged.c.user_id,
        email=judged.c.email,
        name=func.coalesce(judged.c.name, ""),
        updated_fields=names_of(
            name=judged.c.name_changed,
            timezone=judged.c.timezone_changed,
            preferences=judged.c.preferences_changed,
        ),
        updated_at=written.c.updated_at,
    )
    return (
        select(
            judged.c.user_id,
            judged.c.email,
            judged.c.name.label("display_name"),
            judged.c.timezone,
            judged.c.preferences,
            func.coalesce(written.c.updated_at, judged.c.updated_at).label("updated_at"),
            func.coalesce(written.c.version, judged.c.version).label("version"),
            judged.c.is_stale,
            judged.c.is_too_large,
        )
        .select_from(judged.outerjoin(written, written.c.user_id == judged.c.user_id))
        .add_cte(updated)
    )


UPDATE = _update()

_profile = record_of(ProfileResult)
_updated = record_of(ProfileUpdateResult)


class SqlProfiles:
    async def find(
        self, session: SqlSession, tenant_id: str, user_id: str
    ) -> Versioned[ProfileResult] | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, user_id=user_id)
        return None if row is None else Versioned(_profile(row), row.version)

    async def update(
        self,
        session: SqlSession,
        user_id: str,
        change: ProfileChange,
        now: datetime,
        *,
        actor: str | None,
    ) -> ProfileChanged | None:
        row = await fetch_one(
            session,
            UPDATE,
            user_id=user_id,
            display_name=change.display_name,
            name_key=change.name_key,
            timezone=change.timezone,
            patch=change.preferences,
            expected_version=change.expected_version,
            max_bytes=change.max_preferences_bytes,
            now=now,
            actor=actor,
        )
        if row is None:
            return None
        return ProfileChanged(
            Versioned(_updated(row), row.version), is_stale=row.is_stale, is_too_large=row.is_too_large
        )
