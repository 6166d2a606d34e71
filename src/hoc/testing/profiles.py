"""Profiles."""

from dataclasses import replace
from datetime import datetime

import orjson

from hoc.cus.account.L5_schemas.port_types import CLEARABLE, UPDATABLE, AccountPatch, PatchRefusal, Versioned
from hoc.cus.account.L5_schemas.results import (
    ExtendedProfileResult,
    ExtendedProfileUpdateResult,
    OwnProfileResult,
)
from hoc.testing.database import MemorySession
from hoc.testing.documents import merged, stored_size
from hoc.testing.rows import UserRow, combine
from hoc.testing.store import MemoryStore


class MemoryProfiles(MemoryStore):
    async def find(
        self, session: MemorySession, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedProfileResult] | None:
        tables = self.read(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return None
        user = tables.users[user_id]
        profile = combine(
            ExtendedProfileResult,
            user,
            membership,
            tenant_name=tables.tenants[tenant_id].name,
            preferences=orjson.loads(user.preferences),
        )
        return Versioned(profile, user.version)

    async def own(self, session: MemorySession, user_id: str) -> Versioned[OwnProfileResult] | None:
        user = self.read(session).account(user_id)
        if user is None or not user.is_active:
            return None
        profile = combine(OwnProfileResult, user, preferences=orjson.loads(user.preferences))
        return Versioned(profile, user.version)

    async def update(
        self,
        session: MemorySession,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
        max_preferences_bytes: int,
    ) -> Versioned[ExtendedProfileUpdateResult] | PatchRefusal | None:
        tables = await self.write(session)
        user = tables.account(user_id)
        if user is None or not user.is_active:
            return None
        patched = apply_patch(user, patch)
        if expected_version not in {None, user.version}:
            return PatchRefusal.STALE
        if stored_size(patched.preferences) > max_preferences_bytes:
            return PatchRefusal.TOO_LARGE
        by = user.user_id if actor == user_id else actor
        stored = tables.update_user(patched, now=now, actor=by)
        preferences = orjson.loads(stored.preferences)
        result = combine(
            ExtendedProfileUpdateResult, stored, display_name=stored.name, preferences=preferences
        )
        return Versioned(result, stored.version)


def apply_patch(user: UserRow, patch: AccountPatch) -> UserRow:
    """The row as the patch makes it. Another address is unverified unless the patch says otherwise."""
    given = {name: value for name in UPDATABLE if (value := getattr(patch, name)) is not None}
    given |= {name: given[name] or None for name in CLEARABLE & given.keys()}
    preferences = merged(user.preferences, given.pop("preferences"))
    email_key = patch.email_key or user.email_key
    given.setdefault("email_verified", user.email_verified and email_key == user.email_key)
    return replace(
        user,
        **given,
        preferences=preferences,
        email_key=email_key,
    )
