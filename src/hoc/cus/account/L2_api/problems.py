"""Refusals as RFC 9457 problem documents."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from hoc.cus.account.L2_api.authentication import KeysUnavailableError
from hoc.cus.account.L5_schemas.errors import AccountsError, FieldProblem, InvalidInputError

MEDIA_TYPE = "application/problem+json"

# Not made from the phrases, which differ between versions of Python.
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

_log = logging.getLogger("hoc.http")


def problem(
    conn: HTTPConnection,
    status: int,
    code: str,
    detail: str,
    *,
    problems: tuple[FieldProblem, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:hoc:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": quote(conn.scope["path"], errors="replace"),
        "code": code,
        "request_id": conn.scope.get("hoc.request_id"),
        "errors": [{"pointer": field.pointer, "detail": field.detail} for field in problems],
    }
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)


async def on_accounts_error(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, AccountsError)  # noqa: S101 - Starlette types every handler for Exception
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        request,
        refusal.status_code,
        refusal.error,
        refusal.message,
        problems=refusal.problems,
        headers=headers,
    )


async def on_http_exception(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)  # noqa: S101 - Starlette types every handler for Exception
    code = _CODES.get(refusal.status_code, "error")
    return problem(request, refusal.status_code, code, refusal.detail, headers=refusal.headers)


async def on_defect(request: Request, defect: Exception) -> Response:
    """The last resort: says nothing about the inside; the log has it under the same request id."""
    _log.error("request %s failed", request.scope.get("hoc.request_id"), exc_info=defect)
    request_id = request.scope.get("hoc.request_id")
    # Starlette answers defects outside all other middleware, RequestIds included.
    headers = {} if request_id is None else {"X-Request-Id": request_id}
    return problem(
        request, 500, "internal_error", "The server failed; this has been logged.", headers=headers
    )


def on_authentication_error(conn: HTTPConnection, refusal: Exception) -> Response:
    if isinstance(refusal, KeysUnavailableError):
        retry = {"Retry-After": str(refusal.retry_after_seconds)}
        return problem(conn, 503, "unavailable", str(refusal), headers=retry)
    return problem(conn, 401, "not_authenticated", str(refusal), headers={"WWW-Authenticate": "Bearer"})


def invalid_fields(refusal: ValidationError, prefix: str) -> InvalidInputError:
    """Pydantic's findings as ours; ``prefix`` is ``/`` for bodies and ``?`` for query parameters."""
    problems = tuple(
        FieldProblem("".join(prefix + _escaped(part) for part in found["loc"]), found["msg"])
        for found in refusal.errors(include_url=False, include_input=False, include_context=False)[:20]
    )
    summary = "; ".join(f"{field.pointer} {field.detail}" for field in problems[:3])
    return InvalidInputError(summary, problems=problems)


def _escaped(part: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part)[:100].replace("~", "~0").replace("/", "~1")
