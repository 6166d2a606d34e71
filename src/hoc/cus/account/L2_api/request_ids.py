"""Every request has an id: in its answer, in problem documents, in what is logged meanwhile."""

import re
from contextvars import ContextVar

import uuid_utils
from starlette.types import Scope

current_request_id: ContextVar[str | None] = ContextVar("hoc.request_id", default=None)
"""The id of the request that is handled here; None outside of one."""

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")


def identify_request(scope: Scope) -> str:
    """Give a request its id: the client's own if that is harmless."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = given.decode() if _HARMLESS.match(given) else uuid_utils.uuid7().hex
    scope["hoc.request_id"] = request_id
    # Never reset: each request has a task of its own, and its last words are logged further out than here.
    current_request_id.set(request_id)
    return request_id
