"""Profiles, and merging preferences (RFC 7396)."""

import json
from dataclasses import replace
from datetime import datetime
from typing import cast

import orjson

from hoc.cus.account.L5_schemas.port_types import UPDATABLE, AccountPatch, PatchRefusal, Versioned
from hoc.cus.account.L5_schemas.results import (
    ExtendedProfileResult,
    ExtendedProfileUpdateResult,
)
from hoc.testing.database import MemorySession
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
        if _stored_size(orjson.loads(patched.preferences)) > max_preferences_bytes:
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
    stored = orjson.loads(user.preferences)
    if "avatar_url" in given:
        given["avatar_url"] = given["avatar_url"] or None
    merged = merge_patch(stored, orjson.loads(orjson.dumps(given.pop("preferences"))))
    email_key = patch.email_key or user.email_key
    given.setdefault("email_verified", user.email_verified and email_key == user.email_key)
    return replace(
        user,
        **given,
        preferences=user.preferences if same_json(stored, merged) else orjson.dumps(merged),
        email_key=email_key,
    )


def merge_patch(target: object, patch: object) -> object:
    """JSON Merge Patch (RFC 7396): objects are merged, null deletes a key, all other values replace."""
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
    """Whether two JSON values are equal. In JSON, unlike in Python, true is not 1."""
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
    """The length in bytes of PostgreSQL's text of jsonb, which has a space after each comma and colon."""
    return len(json.dumps(document, ensure_ascii=False).encode())
