"""The console as an ASGI application that can be mounted anywhere."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import cache

import orjson
import uuid_utils
from starlette.applications import Starlette
from starlette.authentication import AuthenticationBackend
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hoc.cus.account.L2_api.calls import Gate
from hoc.cus.account.L2_api.openapi import openapi_document
from hoc.cus.account.L2_api.operations import Operation, routes
from hoc.cus.account.L2_api.problems import (
    on_accounts_error,
    on_authentication_error,
    on_defect,
    on_http_exception,
)
from hoc.cus.account.L5_schemas.errors import AccountsError

current_request_id: ContextVar[str | None] = ContextVar("hoc.request_id", default=None)
"""The id of the request that is handled here; None outside of one."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")


class RequestIds:
    """Gives a request an id, unless it has one: the client's own if that is harmless. Sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "hoc.request_id" in scope:
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _REQUEST_ID.match(given) else uuid_utils.uuid7().hex
        scope["hoc.request_id"] = request_id
        # Never reset: each request has a task of its own, and a defect is logged further out than here.
        current_request_id.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [header for header in message.get("headers", ()) if header[0] != b"x-request-id"]
                message["headers"] = [*others, (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


def api(
    operations: list[Operation],
    gate: Gate,
    *,
    title: str,
    version: str,
    authentication: AuthenticationBackend | None,
    documents: Mapping[str, bytes] | None = None,
) -> Starlette:
    """An application of these operations, its OpenAPI document and its problem documents.

    ``authentication`` None leaves saying who calls to the application it is mounted in. ``documents`` are
    other JSON documents for everybody, by path.
    """

    @cache
    def document(server: str) -> bytes:
        return orjson.dumps(openapi_document(operations, title=title, version=version, server=server))

    async def openapi(request: Request) -> Response:
        return Response(document(request.scope.get("root_path", "")), media_type="application/json")

    middleware = [Middleware(RequestIds)]
    if authentication is not None:
        middleware.append(
            Middleware(AuthenticationMiddleware, backend=authentication, on_error=on_authentication_error)
        )
    app = Starlette(
        routes=[
            *routes(operations, gate),
            Route("/openapi.json", openapi),
            *(Route(path, _serving(document)) for path, document in (documents or {}).items()),
        ],
        middleware=middleware,
        exception_handlers={
            AccountsError: on_accounts_error,
            HTTPException: on_http_exception,
            Exception: on_defect,
        },
    )
    # A redirect would be built from the Host header; a path with a slash too many is simply not there.
    app.router.redirect_slashes = False
    return app


def _serving(body: bytes) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    return serve
