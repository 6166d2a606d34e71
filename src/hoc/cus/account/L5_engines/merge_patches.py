"""Documents of free JSON, which are changed by merge patches (RFC 7396) and are limited in size and depth."""

from typing import Any, TypeAlias

import orjson

from hoc.cus.account.L5_schemas.errors import InvalidInputError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

MAX_DOCUMENT_BYTES = 16_384
MAX_DOCUMENT_DEPTH = 8


def checked_patch(field: str, patch: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch. Raises InvalidInputError: too large, too deep, or not storable as jsonb."""
    _check_nesting(field, patch)
    try:
        encoded = orjson.dumps(patch)
    except orjson.JSONEncodeError:
        raise InvalidInputError.of(field, "must be JSON with valid text and 64-bit integers") from None
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError.of(field, f"must not exceed {MAX_DOCUMENT_BYTES} bytes")
    return patch


def too_large(field: str) -> InvalidInputError:
    """The error for a patch that would make the document too large."""
    return InvalidInputError.of(
        field, f"would exceed {MAX_DOCUMENT_BYTES} bytes after merging; delete keys first"
    )


def _check_nesting(field: str, patch: dict[str, Any]) -> None:
    """Check level by level and not recursively, so that a hostile depth costs nothing."""
    level: list[Json] = [patch]
    for _ in range(MAX_DOCUMENT_DEPTH):
        level = [child for item in level for child in _children(item)]
        if any(isinstance(item, str) and "\x00" in item for item in level):
            raise InvalidInputError.of(field, "must not contain the NUL character")
    if any(isinstance(item, dict | list) for item in level):
        raise InvalidInputError.of(field, f"must not nest deeper than {MAX_DOCUMENT_DEPTH} levels")


def _children(item: Json) -> list[Json]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list) else []
