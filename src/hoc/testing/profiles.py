"""Profiles, and preferences merged as RFC 7396 says."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import orjson

from hoc.cus.account.L5_schemas.records import ProfileChange, ProfileChanged, Versioned
from hoc.cus.account.L5_schemas.results import ProfileResult, ProfileUpdateResult
from hoc.testing.database import MemorySession
from hoc.testing.rows import UserRow
from hoc.testing.store import MemoryStore


class MemoryProfiles(MemoryStore):
    async def find(
        self, session: MemorySession, tenant_id: str, user_id: str
    ) -> Versioned[ProfileResult] | None:
        tables = self.read(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return None
        user = tables.users[user_id]
        profile = ProfileResult(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            avatar_url=user.avatar_url,
            tenant_id=tenant_id,
            tenant_name=tables.tenants[tenant_id].name,
            role=membership.role,
            created_at=user.created_at,
            preferences=orjson.loads(user.preferences),
        )
        return Versioned(profile, user.version)

    async def update(
        self,
        session: MemorySession,
        user_id: str,
        change: ProfileChange,
        now: datetime,
        *,
        actor: str | None,
    ) -> ProfileChanged | None:
        tables = await self.write(session)
        user = tables.users.get(user_id)
        if user is None or not user.is_active:
            return None
        stored = orjson.loads(user.preferences)
        merged = merge_patch(stored, orjson.loads(orjson.dumps(change.preferences)))
        changed = replace(
            user,
            name=user.name if change.display_name is None else change.display_name,
            timezone=user.timezone if change.timezone is None else change.timezone,
            preferences=user.preferences if same_json(stored, merged) else orjson.dumps(merged),
        )
        is_stale = change.expected_version not in {None, user.version}
        is_too_large = _stored_size(merged) > change.max_preferences_bytes
        if is_stale or is_too_large:
            return ProfileChanged(_profile(user), is_stale, is_too_large)
        stored_now, _ = tables.update_profile(changed, now=now, actor=actor)
        return ProfileChanged(_profile(stored_now), is_stale=False, is_too_large=False)


def merge_patch(target: object, patch: object) -> object:
    """JSON Merge Patch (RFC 7396): objects are merged, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(cast("dict[str, object]", target)) if isinstance(target, dict) else {}
    for key, value in cast("dict[str, object]", patch).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def same_json(one: object, other: object) -> bool:
    """Equality of JSON values: unlike Python's, true is not 1."""
    match one, other:
        case dict(), dict():
            left, right = cast("dict[str, object]", one), cast("dict[str, object]", other)
            return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
        case list(), list():
            items, others = cast("list[object]", one), cast("list[object]", other)
            return len(items) == len(others) and all(map(same_json, items, others))
        case _:
            return isinstance(one, bool) is isinstance(other, bool) and one == other


def _stored_size(document: object) -> int:
    """The bytes of PostgreSQL's text form of jsonb, which has a space after each comma and colon."""
    return len(json.dumps(document, ensure_ascii=False).encode())


def _profile(user: UserRow) -> Versioned[ProfileUpdateResult]:
    preferences: dict[str, Any] = orjson.loads(user.preferences)
    result = ProfileUpdateResult(
        user_id=user.user_id,
        email=user.email,
        display_name=user.name,
        timezone=user.timezone,
        preferences=preferences,
        updated_at=user.updated_at,
    )
    return Versioned(result, user.version)
