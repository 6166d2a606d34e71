"""Refusals as SCIM errors (RFC 7644, section 3.12)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import ValidationError
from scim2_models import Error, SCIMException
from scim2_server.errors import MethodNotAllowedException
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response

from hoc.cus.account.L5_schemas.errors import AccountsError, LimitExceededError

MEDIA_TYPE: Final = "application/scim+json"
CHALLENGE: Final = 'Bearer realm="SCIM"'

_FAILED: Final = "The server failed, and has logged why."
_log = logging.getLogger("hoc.scim")


def error_of(problem: Exception) -> Error:
    """The error to show; an unforeseen problem is logged."""
    match problem:
        case SCIMException():
            return _refusal(problem)
        case AccountsError():
            return Error(status=_status_of(problem), detail=problem.message)
        case HTTPException(status_code=status):
            return Error(status=status, detail=problem.detail)
        case ClientDisconnect():
            return Error(status=400, detail="The body is incomplete.")  # the client is gone
        case RecursionError():
            return Error(status=400, detail="The request is nested too deeply.")
        case _:
            _log.error("a SCIM request failed", exc_info=problem)
            return Error(status=500, detail=_FAILED)


def _refusal(problem: SCIMException) -> Error:
    """In the library's own words, as it shows Pydantic's text for a value that a PATCH gives."""
    match problem.__cause__:
        case ValidationError() as invalid:
            return Error.from_validation_errors(invalid)[0]
        case _:
            return problem.to_error()


def _status_of(problem: AccountsError) -> int:
    """A client takes 429 to mean "later", and holds up all other users until then. That frees no seat."""
    if isinstance(problem, LimitExceededError) and problem.retry_after is None:
        return 409
    return problem.status_code


def scim_problem(_conn: HTTPConnection, problem: Exception) -> Response:
    """The answer to a request that raised ``problem``."""
    error = error_of(problem)
    return error_response(error, _headers(problem))


def error_response(error: Error, headers: Mapping[str, str]) -> Response:
    return Response(
        orjson.dumps(error.model_dump()), error.status or 500, dict(headers), media_type=MEDIA_TYPE
    )


def _headers(problem: Exception) -> dict[str, str]:
    match problem:
        case MethodNotAllowedException():
            return {"Allow": ", ".join(problem.allowed)}
        case SCIMException(status=HTTPStatus.UNAUTHORIZED):
            return {"WWW-Authenticate": CHALLENGE}
        case AccountsError(retry_after=int() as seconds):
            return {"Retry-After": str(seconds)}
        case HTTPException(headers=headers) if headers:
            return dict(headers)
        case _:
            return {}
