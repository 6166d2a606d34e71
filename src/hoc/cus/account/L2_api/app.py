"""Routes as an ASGI application that can be mounted anywhere."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from starlette.authentication import AuthCredentials, AuthenticationBackend, UnauthenticatedUser
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.concurrency.time_limit import TimeLimit
from hoc.cus.account.L2_api.admission import take_slot
from hoc.cus.account.L2_api.authentication import caller_of
from hoc.cus.account.L2_api.cors import with_cors
from hoc.cus.account.L2_api.csrf import check_origin
from hoc.cus.account.L2_api.mounting import without_appended_slash
from hoc.cus.account.L2_api.problems import problem_for
from hoc.cus.account.L2_api.request import MAX_BODY_BYTES, ReceivedRequest
from hoc.cus.account.L2_api.request_ids import identify_request
from hoc.cus.account.L2_api.response import complete_headers

if TYPE_CHECKING:  # it needs an extra
    from hoc.cus.account.L2_api.rate_limits import RateLimits


class Api:
    """Turns every exception into a response; the host application never sees one.

    Starlette's own layers of middleware do the same, but a short request then takes a third longer.

    Args:
        routes: their endpoints are functions of a request.
        authentication: identifies callers, and nothing else does. None leaves that to the application it is
            mounted in.
        limiter: of concurrent requests; one that is not admitted in time gets 503. None admits every request.
        time_limit: of a request, from the last byte of its body to its answer.
        rate_limits: of each client address, before its body is received, and of each caller. None for none.
        trusted_origins: other origins whose pages may make a browser send requests that change something.
        on_route: is called with a request's method and its route's template below the mount point.
        cors_origins: other origins whose pages may read the answers; ``*`` for all.
        on_problem: what is answered in place of a problem document.
        max_body_bytes: of a body, no more is received than the part that exceeds this.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        authentication: AuthenticationBackend | None = None,
        limiter: PerLoop[Limiter[None]] | None = None,
        time_limit: TimeLimit | None = None,
        rate_limits: "RateLimits | None" = None,
        trusted_origins: AbstractSet[str] = frozenset(),
        on_route: Callable[[str, str], None] | None = None,
        cors_origins: AbstractSet[str] = frozenset(),
        on_problem: Callable[[Request, Exception], Response] = problem_for,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.routes = routes
        self._limiter = limiter
        self._time_limit = time_limit
        self._rate_limits = rate_limits
        self._by_path = {
            (method, route.path): route
            for route in routes
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._with_parameters: defaultdict[str, list[Route]] = defaultdict(list)
        for route in routes:
            if route.param_convertors:
                for method in route.methods or ():
                    self._with_parameters[method].append(route)
        self._authentication = authentication
        self._trusted_origins = trusted_origins
        self._on_route = on_route
        self._on_problem = on_problem
        self._max_body_bytes = max_body_bytes
        self._unobserved = with_cors(self._answer, cors_origins, trusted_origins=trusted_origins)
        self._app = self._unobserved

    def observe_by(self, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
        """Have requests pass through a middleware, in place of that of an earlier call."""
        self._app = middleware(self._unobserved)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/"):
            scope = without_appended_slash(scope)
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        request_id = identify_request(scope)
        response = await self._respond(ReceivedRequest(scope, receive))
        complete_headers(response, request_id)
        await response(scope, receive, send)

    async def _respond(self, request: ReceivedRequest) -> Response:
        try:
            if self._rate_limits is not None:
                await self._rate_limits.count_address(request.scope)
            # Before the request is admitted, so that a slow sender takes no slot.
            await request.receive_body(self._max_body_bytes)
            if self._time_limit is None:
                return await self._admit(request)
            with self._time_limit.running():
                return await self._admit(request)
        except Exception as problem:  # noqa: BLE001 - each is answered, an unforeseen one with 500 and a log
            return self._on_problem(request, problem)

    async def _admit(self, request: ReceivedRequest) -> Response:
        if self._limiter is None:
            return await self._handle(request)
        limiter = self._limiter.get()
        await take_slot(limiter)
        try:
            return await self._handle(request)
        finally:
            limiter.release(None)

    async def _handle(self, request: ReceivedRequest) -> Response:
        await self._authenticate(request)
        if self._rate_limits is not None and (caller := caller_of(request)) is not None:
            await self._rate_limits.count_caller(caller.user_id)
        check_origin(request, self._trusted_origins)
        route = self._route(request.scope)
        if self._on_route is not None:
            self._on_route(request.method, request.scope.get("root_path", "") + route.path)
        response: Response = await route.endpoint(request)
        return response

    async def _authenticate(self, request: ReceivedRequest) -> None:
        """Put the caller where Starlette's AuthenticationMiddleware puts it, in place of the host's."""
        if self._authentication is None:
            return
        known = await self._authentication.authenticate(request)
        request.scope["auth"], request.scope["user"] = known or (AuthCredentials(), UnauthenticatedUser())

    def _route(self, scope: Scope) -> Route:
        """The route of a request; its parameters are put into the scope. Raises HTTPException 404 or 405."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if (known := self._by_path.get((scope["method"], path))) is not None:
            scope["endpoint"] = known.endpoint
            return known
        for route in self._with_parameters.get(scope["method"], ()):
            if (found := route.path_regex.match(path)) is not None:
                # As `Route.matches` does it, in half the time, for parameters that are text.
                scope["path_params"] = {**scope.get("path_params", {}), **found.groupdict()}
                scope["endpoint"] = route.endpoint
                return route
        raise self._no_route(scope)

    def _no_route(self, scope: Scope) -> HTTPException:
        allowed: set[str] = set()
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.PARTIAL:
                scope.update(found)
                allowed |= route.methods or set()
        if allowed:
            return HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        return HTTPException(404)
