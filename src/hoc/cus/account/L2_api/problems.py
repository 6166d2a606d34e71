"""Refusals as RFC 9457 problem documents."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import ValidationError
from starlette.authentication import AuthenticationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response

from hoc.cus.account.L2_api.authentication import KeysUnavailableError
from hoc.cus.account.L5_schemas.errors import AccountsError, FieldProblem, InvalidInputError

MEDIA_TYPE = "application/problem+json"
MAX_PROBLEMS = 20
"""The most bad fields that a problem document lists."""

# Not derived from HTTPStatus.phrase, which differs between versions of Python.
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

_CHALLENGE = {"WWW-Authenticate": "Bearer"}

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
    body = problem_document(
        status,
        code,
        detail,
        instance=quote(conn.scope["path"], errors="replace"),
        request_id=conn.scope.get("hoc.request_id"),
        problems=problems,
    )
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def problem_document(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str = "",
    request_id: str | None = None,
    problems: tuple[FieldProblem, ...] = (),
) -> bytes:
    """The JSON of a problem; ``instance`` is the request's path, empty if it is unknown."""
    body: dict[str, Any] = {
        "type": f"urn:hoc:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        "errors": [{"pointer": field.pointer, "detail": field.detail} for field in problems],
    }
    return orjson.dumps(body)


def problem_for(conn: HTTPConnection, refusal: Exception) -> Response:
    """The answer to a request that raised ``refusal``; an unforeseen one is logged under the request's id."""
    match refusal:
        case AccountsError():
            return _refused(conn, refusal)
        case KeysUnavailableError():
            retry = {"Retry-After": str(refusal.retry_after_seconds)}
            return problem(conn, 503, "unavailable", str(refusal), headers=retry)
        case AuthenticationError():
            return problem(conn, 401, "not_authenticated", str(refusal), headers=_CHALLENGE)
        case HTTPException(status_code=status):
            code = _CODES.get(status, "error")
            return problem(conn, status, code, refusal.detail, headers=refusal.headers)
        case ClientDisconnect():
            return problem(conn, 400, "invalid_json", "The body is incomplete.")  # the client is gone
        case _:
            _log.error("request %s failed", conn.scope.get("hoc.request_id"), exc_info=refusal)
            return problem(
                conn, 500, "internal_error", "The server failed, and has logged why under this request_id."
            )


def _refused(conn: HTTPConnection, refusal: AccountsError) -> Response:
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status_code == HTTPStatus.UNAUTHORIZED:
        headers |= _CHALLENGE
    return problem(
        conn,
        refusal.status_code,
        refusal.error,
        refusal.message,
        problems=refusal.problems,
        headers=headers,
    )


def invalid_fields(refusal: ValidationError, prefix: str) -> InvalidInputError:
    """Pydantic's findings as field problems; ``prefix`` is ``/`` for a body and ``?`` for a query."""
    problems = tuple(
        FieldProblem("".join(prefix + escaped(part) for part in found["loc"]), found["msg"])
        for found in refusal.errors(include_url=False, include_input=False, include_context=False)[
            :MAX_PROBLEMS
        ]
    )
    summary = "; ".join(f"{field.pointer} {field.detail}" for field in problems[:3])
    return InvalidInputError(summary, problems=problems)


def escaped(part: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part)[:100].replace("~", "~0").replace("/", "~1")
