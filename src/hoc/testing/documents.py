"""JSON documents, and merging patches into them (RFC 7396), as PostgreSQL does it."""

import json
from typing import Any, cast

import orjson


def merged(stored: bytes, patch: dict[str, Any]) -> bytes:
    """The encoded document after the patch: the same bytes when nothing changes."""
    before = orjson.loads(stored)
    after = merge_patch(before, orjson.loads(orjson.dumps(patch)))
    return stored if same_json(before, after) else orjson.dumps(after)


def merge_patch(target: object, patch: object) -> object:
    """JSON Merge Patch (RFC 7396): objects are merged, null deletes a key, all other values replace."""
    if not isinstance(patch, dict):
        return patch
    result = dict(cast("dict[str, object]", target)) if isinstance(target, dict) else {}
    for key, value in cast("dict[str, object]", patch).items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


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


def stored_size(document: bytes) -> int:
    """The length in bytes of PostgreSQL's text of jsonb, which has a space after each comma and colon."""
    return len(json.dumps(orjson.loads(document), ensure_ascii=False).encode())
