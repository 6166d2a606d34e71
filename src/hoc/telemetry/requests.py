"""Every request is measured once, in one place, and all that want to know of it are told there."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "_OTHER"

_METHODS: Final = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

Observer = Callable[[str, str, int, float], None]
"""Is told of a request: its method, its route's template, the answer's status, the seconds that it took.

Both texts are of a bounded set, whatever clients send. A method that HTTP does not know is OTHER_METHOD. A
path that leads nowhere is UNMATCHED. So is one with a parameter when the caller's credentials are refused:
nobody looked where it leads.
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
        status = 500  # an exception is answered further out

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
        # Mounts and routers leave in this same scope which endpoint they chose.
        found = self._templates.get(scope["path"]) or self._templates.get(scope.get("endpoint"))
        return found or UNMATCHED


def known_method(method: str) -> str:
    return method if method in _METHODS else OTHER_METHOD


def _templates(routes: Sequence[BaseRoute], mounted_at: str = "") -> dict[object, str]:
    """Each route's full template, by its endpoint; without parameters, by its path too.

    Two paths may share an endpoint.
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
