"""ASGI middleware that times each request once and calls the observers."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "_OTHER"

_MOUNTED_AT: Final = "hoc.mounted_at"
_METHODS: Final = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

Observer = Callable[[str, str, int, float], None]
"""Is called with a request's method, route template, response status, and duration in seconds.

The method and the template come from a bounded set: a method unknown to HTTP is OTHER_METHOD, a path without
a route is UNMATCHED. A path with parameters is UNMATCHED too if the credentials were rejected, because
routing comes after authentication.
"""


class ObservedRequests:
    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute], observers: Sequence[Observer]) -> None:
        self._app = app
        self._templates = _templates(routes)
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = 500  # for an exception, which middleware further out answers

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            seconds = perf_counter() - started
            method, route = known_method(scope["method"]), self._template(scope)
            for observe in self._observers:
                observe(method, route, status, seconds)

    def _template(self, scope: Scope) -> str:
        # Mounts and routers put the chosen endpoint into this scope.
        found = self._templates.get(scope["path"]) or self._templates.get(scope.get("endpoint"))
        return found or UNMATCHED


class MountedRequests(ObservedRequests):
    """The same for an application that a host mounts: a template begins with the path that it is mounted at.

    A mount point with parameters is left out, because its path is one that clients choose.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_MOUNTED_AT] = scope.get("root_path", ""), bool(scope.get("path_params"))
        await super().__call__(scope, receive, send)

    def _template(self, scope: Scope) -> str:
        mounted_at, has_parameters = scope[_MOUNTED_AT]
        path = scope["path"].removeprefix(mounted_at)
        found = self._templates.get(path) or self._templates.get(scope.get("endpoint"))
        if found is None:
            return UNMATCHED
        return found if has_parameters else f"{mounted_at}{found}"


def known_method(method: str) -> str:
    return method if method in _METHODS else OTHER_METHOD


def _templates(routes: Sequence[BaseRoute], mounted_at: str = "") -> dict[object, str]:
    """Return each route's full template by its endpoint, and by its path if that has no parameters.

    The path is needed where several paths share an endpoint.
    """
    found: dict[object, str] = {}
    for route in routes:
        if isinstance(route, Mount):
            found = _templates(route.routes, mounted_at + route.path) | found
        elif isinstance(route, Route):
            template = mounted_at + route.path
            found.setdefault(route.endpoint, template)
            if not route.param_convertors:
                found[template] = template
    return found
