"""What an observer is told of a request: its route's full template, and nothing that a client makes up."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from hoc.telemetry.requests import ObservedRequests


class Suspicious(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if "authorization" in conn.headers:
            raise AuthenticationError("no")
        return None


async def users(_request: Request) -> Response:
    return Response()


async def answer(_request: Request) -> Response:
    return Response()


async def other(_request: Request) -> Response:
    return Response(status_code=201)


async def within_a_tenant(_request: Request) -> Response:
    return Response(status_code=202)


async def fail(_request: Request) -> Response:
    raise ValueError


class Observed:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []
        mounted = Starlette(
            routes=[
                Route("/users", users),
                Route("/users/{user_id}", other),
                Route("/users/{user_id}/role", fail, methods=["PUT"]),
            ],
            middleware=[Middleware(AuthenticationMiddleware, backend=Suspicious())],
        )
        routes = [
            Route("/health", answer),
            Route("/health/ready", answer),
            Mount("/accounts", mounted),
            Mount("/tenants/{tenant_id}", routes=[Route("/members", within_a_tenant)]),
        ]
        self.app = Starlette(
            routes=routes, middleware=[Middleware(ObservedRequests, routes=routes, observers=[self._observe])]
        )

    def _observe(self, method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((method, route, status))


@pytest.mark.parametrize(
    ("request_line", "told"),
    [
        ("GET /health", ("GET", "/health", 200)),
        ("GET /health/ready", ("GET", "/health/ready", 200)),
        ("GET /accounts/users?name=x", ("GET", "/accounts/users", 200)),
        ("GET /accounts/users/u1", ("GET", "/accounts/users/{user_id}", 201)),
        ("PUT /accounts/users/u1/role", ("PUT", "/accounts/users/{user_id}/role", 500)),
        ("GET /tenants/t1/members", ("GET", "/tenants/{tenant_id}/members", 202)),
        ("DELETE /accounts/users/u1", ("DELETE", "/accounts/users/{user_id}", 405)),
        ("INVENTED /accounts/users/u1", ("_OTHER", "/accounts/users/{user_id}", 405)),
        ("GET /accounts/users/u1/nothing", ("GET", "unmatched", 404)),
        ("GET /accounts/", ("GET", "unmatched", 404)),
        ("GET /nothing", ("GET", "unmatched", 404)),
    ],
)
async def test_the_template_is_told_and_never_the_path(request_line: str, told: tuple[str, str, int]) -> None:
    observed = Observed()
    method, _, path = request_line.partition(" ")
    async with client(observed) as http:
        await http.request(method, path)
    assert observed.told == [told]


async def test_refused_credentials_hide_which_route_it_is_where_a_path_has_parameters() -> None:
    observed = Observed()
    async with client(observed) as http:
        for path in ("/accounts/users", "/accounts/users/u1"):
            await http.get(path, headers={"Authorization": "x"})
    assert observed.told == [("GET", "/accounts/users", 400), ("GET", "unmatched", 400)]


async def test_behind_a_root_path_routes_are_known_by_their_endpoints() -> None:
    observed = Observed()
    transport = httpx.ASGITransport(observed.app, root_path="/outer")
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as http:
        await http.get("/outer/accounts/users")
    assert observed.told == [("GET", "/accounts/users", 200)]


def client(observed: Observed) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(observed.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")
