"""Every request has an id, which its answer, its problem document and its log lines carry."""

import re
from contextvars import ContextVar

import uuid_utils
from starlette.types import Scope

current_request_id: ContextVar[str | None] = ContextVar("hoc.request_id", default=None)
"""The id of the request being handled; None outside of a request."""

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")


def identify_request(scope: Scope) -> str:
    """Give a request its id: the client's ``X-Request-Id`` if that is harmless, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = given.decode() if _HARMLESS.match(given) else new_request_id()
    scope["hoc.request_id"] = request_id
    # Never reset: each request has a task of its own, whose last log lines come after this call returns.
    current_request_id.set(request_id)
    return request_id


def new_request_id() -> str:
    """A new id, for a request without a usable one."""
    return uuid_utils.uuid7().hex
