"""Bounded pages: by offset for page numbers, by keyset cursor for long lists."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, TypedDict

import orjson

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Window

MAX_LIMIT = 100
MAX_OFFSET = 10_000
# Room for an id of 255 characters of four bytes each, in base64.
MAX_CURSOR_LENGTH = 2_048

_FINGERPRINT_LENGTH = 8


class PageArguments(TypedDict, total=False):
    """Which page of a list: its first 50 rows, unless given otherwise. ``cursor`` excludes ``offset``."""

    limit: int
    offset: int
    cursor: str | None


class CursorScope:
    """The list that a cursor belongs to: its name, tenant and filters."""

    def __init__(self, name: str, tenant_id: str, **filters: str | None) -> None:
        identity = orjson.dumps([name, tenant_id, filters])
        self._fingerprint = hashlib.sha256(identity).hexdigest()[: _FINGERPRINT_LENGTH * 2]

    def window(self, limit: int = 50, offset: int = 0, cursor: str | None = None) -> Window:
        """Return the rows to read. Raises InvalidInputError, also for another list's cursor."""
        if wrong := why_not_whole(limit, 1, MAX_LIMIT):
            raise InvalidInputError.of_parameter("limit", wrong)
        if wrong := why_not_whole(offset, 0, MAX_OFFSET):
            raise InvalidInputError.of_parameter("offset", f"{wrong}; read further by cursor")
        if cursor is None:
            return Window(limit, offset)
        if offset:
            raise InvalidInputError.of_parameter("offset", "cannot be combined with cursor")
        return Window(limit, after=self._decode(cursor))

    def next_cursor(self, rows: Slice[Any] | UncountedSlice[Any]) -> str | None:
        """The cursor of the next page, None when these rows are the last."""
        if not rows.has_more or rows.last_key is None:
            return None
        parts = [self._fingerprint, rows.last_key.at.isoformat(), rows.last_key.id]
        return urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()

    def _decode(self, cursor: str) -> SortKey:
        try:
            padding = "=" * (-len(cursor) % 4)
            fingerprint, at, row_id = orjson.loads(urlsafe_b64decode(cursor[:MAX_CURSOR_LENGTH] + padding))
            moment = datetime.fromisoformat(at)
            is_ours = fingerprint == self._fingerprint and moment.tzinfo and isinstance(row_id, str)
            key = SortKey(moment.astimezone(UTC), row_id) if is_ours and is_storable_id(row_id) else None
        except (ValueError, TypeError, OverflowError):
            key = None
        if key is None:
            raise InvalidInputError.of_parameter(
                "cursor", "is not a cursor of this list; start without a cursor"
            )
        return key
