"""An HTTP operation, stated once: requests are routed by it and the OpenAPI document describes it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.calls import Call, Gate

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """``result`` is the answer's type, ``also`` other codes it comes with, ``errors`` its own refusals."""

    method: str
    path: str
    handler: Handler
    summary: str
    result: Any
    status: int = 200
    also: tuple[int, ...] = ()
    body: Any = None
    body_optional: bool = False
    query: type[Query] | None = None
    errors: tuple[int, ...] = ()
    public: bool = False
    versioned: bool = False
    conditional: bool = False
    idempotent: bool = False

    @property
    def name(self) -> str:
        return self.handler.__name__


def routes(operations: list[Operation], gate: Gate) -> list[Route]:
    return [
        Route(operation.path, _endpoint(operation, gate), methods=[operation.method], name=operation.name)
        for operation in operations
    ]


def _endpoint(operation: Operation, gate: Gate) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await operation.handler(Call(gate, request))

    return endpoint
