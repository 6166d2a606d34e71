"""Results as JSON answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hoc.cus.account.L2_api.conditions import etag
from hoc.cus.account.L2_api.operations import Ensured
from hoc.cus.account.L2_api.request import JSON
from hoc.cus.account.L5_schemas.port_types import Page, Versioned

# Bytes, because Starlette encodes the headers that it is given for each response.
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_NOT_STORED: Final = (b"cache-control", b"no-store")
_REVALIDATED: Final = (b"cache-control", b"private, no-cache")
_JSON: Final = (b"content-type", JSON.encode())


class JsonResponse(Response):
    """JSON that is already encoded. Starlette's own constructor takes more than twice as long."""

    def __init__(self, body: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _JSON, *headers]


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page of a list, as it can be sent to everybody who asked for it at the same time."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def response(self) -> Response:
        return JsonResponse(self.body, headers=self.headers)


def complete_headers(response: Response, request_id: str) -> None:
    """Add the headers of every response. No cache stores one without a ``Cache-Control`` of its own."""
    headers = response.raw_headers
    if b"cache-control" not in dict(headers):
        headers.append(_NOT_STORED)
    headers += ((b"x-request-id", request_id.encode()), _NO_SNIFFING)


def respond(result: object, status: int, resource: str = "") -> Response:
    """The answer with a handler's result, which is of ``resource`` if it has a version."""
    if isinstance(result, Versioned):
        versioned = cast("Versioned[object]", result)
        body = _encode(versioned.value)
        tag = etag(versioned.version, body, resource)
        return JsonResponse(body, status, ((b"etag", tag), _REVALIDATED))
    if isinstance(result, Ensured):
        ensured = cast("Ensured[object]", result)
        return JsonResponse(_encode(ensured.value), status if ensured.was_created else 200)
    return JsonResponse(_encode(result), status)


def encode_page(request: Request, page: Page[Any]) -> EncodedPage:
    """A page with its ``next_cursor`` and, when there is more, a ``Link`` (RFC 8288) to the next one."""
    body: dict[str, Any] = {**vars(page.value), "next_cursor": page.next_cursor}
    return EncodedPage(_encode(body), _link(request, page.next_cursor))


def _link(request: Request, next_cursor: str | None) -> tuple[tuple[bytes, bytes], ...]:
    if next_cursor is None:
        return ()
    query = dict(request.query_params) | {"cursor": next_cursor}
    for start in ("offset", "page"):
        query.pop(start, None)
    # Not request.url, which the Host header is a part of.
    return ((b"link", f'<{quote(request.scope["path"])}?{urlencode(query)}>; rel="next"'.encode()),)


def _encode(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
