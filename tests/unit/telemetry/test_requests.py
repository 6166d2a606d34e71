"""What an observer gets of a request: its route's full template, and nothing that a client invents."""

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
        self.requests: list[tuple[str, str, int]] = []
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
        self.requests.append((method, route, status))


@pytest.mark.parametrize(
    ("request_line", "expected"),
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
async def test_observers_get_the_template_and_never_the_path(
    request_line: str, expected: tuple[str, str, int]
) -> None:
    observed = Observed()
    method, _, path = request_line.partition(" ")
    async with client(observed) as http:
        await http.request(method, path)
    assert observed.requests == [expected]


async def test_rejected_credentials_leave_a_route_unmatched() -> None:
    """Only a path without parameters has a known template then."""
    observed = Observed()
    async with client(observed) as http:
        for path in ("/accounts/users", "/accounts/users/u1"):
            await http.get(path, headers={"Authorization": "x"})
    assert observed.requests == [("GET", "/accounts/users", 400), ("GET", "unmatched", 400)]


async def test_behind_a_root_path_routes_have_their_templates() -> None:
    observed = Observed()
    transport = httpx.ASGITransport(observed.app, root_path="/outer")
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as http:
        await http.get("/outer/accounts/users")
    assert observed.requests == [("GET", "/accounts/users", 200)]


def client(observed: Observed) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(observed.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")
