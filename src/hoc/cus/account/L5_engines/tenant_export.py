"""The export of a tenant, page by page: it may have more rows than fit into memory."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, Protocol

import orjson

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.erasure import ExportPosition, TenantRecords
from hoc.cus.account.L5_schemas.errors import InvalidInputError

MAX_EXPORT_CURSOR: Final = 4_096
"""Longer than other lists' cursors: the keys of some rows have several texts."""

_NAME: Final = "tenant_export"
_INTEGERS: Final = range(-(2**63), 2**63)


class TenantExportStore(Protocol):
    def is_position(self, position: ExportPosition) -> bool:
        """Whether a row can be there."""
        ...

    async def records(
        self, session: Session, tenant_id: str, after: ExportPosition | None, limit: int
    ) -> TenantRecords:
        """Up to ``limit`` rows after a position, or the first ones. The very first is the tenant itself."""
        ...


def written_cursor(position: ExportPosition) -> str:
    """The position as a text, which `read_cursor` reads."""
    return urlsafe_b64encode(orjson.dumps([_NAME, position.kind, *position.key])).rstrip(b"=").decode()


def read_cursor(cursor: str, store: TenantExportStore) -> ExportPosition:
    """The position that a cursor names. Raises InvalidInputError."""
    try:
        padding = "=" * (-len(cursor) % 4)
        name, kind, *key = orjson.loads(urlsafe_b64decode(cursor[:MAX_EXPORT_CURSOR] + padding))
        position = ExportPosition(kind, tuple(key))
        is_ours = name == _NAME and isinstance(kind, str) and all(map(_is_value, key))
    except (ValueError, TypeError):
        position, is_ours = ExportPosition("", ()), False
    if not is_ours or not store.is_position(position):
        raise InvalidInputError.of_parameter("cursor", "is not a cursor of this list; start without a cursor")
    return position


def _is_value(value: Any) -> bool:  # noqa: ANN401 - of JSON that anybody may have written
    return value in _INTEGERS if type(value) is int else isinstance(value, str) and "\0" not in value
