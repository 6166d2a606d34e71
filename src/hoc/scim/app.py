"""The SCIM endpoints as an ASGI application, each tenant's by its own tokens."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import orjson
from scim2_models import UnauthorizedException
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import ROUTES, Operation
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.request import MAX_QUERY_PARAMETERS, ReceivedRequest
from hoc.cus.account.L5_engines.provisioning import Provisioning
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.database import Database
from hoc.scim.errors import scim_problem
from hoc.scim.provider import MAX_BODY_BYTES, PROVIDER
from hoc.scim.service import TenantService
from hoc.scim.storage import TenantStorage

_READS: Final = frozenset({Operation.query, Operation.search, Operation.search_with_body})
# What may stand in a URL as its host.
_HOST: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")
_UNAUTHORIZED: Final = (
    "A valid SCIM token is required, as Authorization: Bearer. This one is missing, wrong, expired or"
    " revoked, or its tenant is suspended or has ended."
)
_WITHOUT_TOKEN: Final = frozenset({Operation.service_provider_config})


class TokenReader(Protocol):
    async def authenticate(self, session: Session, token: str) -> ScimCaller | None:
        """The tenant's directory that the token stands for; None for a wrong, expired or revoked one."""
        ...

    async def record_use(self, session: Session, caller: ScimCaller) -> None: ...


class Directory:
    """Answers requests. ``on_work_queued`` is called after a write, which may have queued a mail."""

    def __init__(
        self,
        database: Database,
        tokens: TokenReader,
        provisioning: Provisioning,
        on_work_queued: Callable[[], None],
    ) -> None:
        self._database = database
        self._provisioning = provisioning
        self._tokens = tokens
        self._on_work_queued = on_work_queued

    def routes(self) -> list[Route]:
        """A route for each path, so that metrics have its template and nothing that a client gives."""
        return [
            Route(path, self._endpoint(operation), methods=[method]) for method, path, operation in _routes()
        ]

    def _endpoint(self, operation: Operation) -> Callable[..., Any]:
        async def answer(request: ReceivedRequest) -> Response:
            return await self._answer(request, operation)

        return answer

    async def _answer(self, request: ReceivedRequest, operation: Operation) -> Response:
        if len(request.received) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body must not exceed {MAX_BODY_BYTES} bytes.")
        token = _token(request)
        caller = ScimCaller("", "")
        if operation not in _WITHOUT_TOKEN:
            caller = await self._authenticate(token)
        reads = operation in _READS
        storage = TenantStorage(
            caller,
            self._database.reading if reads else self._database.transaction,
            self._provisioning,
            writes=not reads,
        )
        service = TenantService(hashlib.sha256(b"scim cursor " + token.encode()).digest())
        answer = await AsyncScimHandler(service, storage).handle(_scim_request(request))
        if not reads:
            self._on_work_queued()
        if caller.use_is_due:
            async with self._database.reading() as session:
                await self._tokens.record_use(session, caller)
        return _response(answer)

    async def _authenticate(self, token: str) -> ScimCaller:
        async with self._database.reading() as session:
            caller = await self._tokens.authenticate(session, token) if token else None
        if caller is None:
            raise UnauthorizedException(detail=_UNAUTHORIZED)
        return caller


def scim_app(
    database: Database,
    tokens: TokenReader,
    provisioning: Provisioning,
    *,
    on_work_queued: Callable[[], None],
    api: Callable[..., Api],
) -> Api:
    """The endpoints; ``api`` makes an application of routes, with the limits that the others have."""
    return api(
        Directory(database, tokens, provisioning, on_work_queued).routes(),
        authentication=None,
        trusted_origins=frozenset(),
        cors_origins=frozenset(),
        on_problem=scim_problem,
        max_body_bytes=MAX_BODY_BYTES,
    )


def _routes() -> Iterator[tuple[str, str, Operation]]:
    endpoints = [str(each.endpoint).strip("/") for each in PROVIDER.resource_types]
    for route in ROUTES:
        for pattern in _patterns(route.pattern, endpoints):
            yield route.method, pattern, route.operation


def _patterns(pattern: str, endpoints: Iterable[str]) -> list[str]:
    if "{endpoint}" not in pattern:
        return [pattern]
    return [pattern.replace("{endpoint}", endpoint) for endpoint in endpoints]


def _token(request: ReceivedRequest) -> str:
    """The bearer token, empty if there is none or more than one."""
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def _scim_request(request: ReceivedRequest) -> ScimRequest:
    if request.scope["query_string"].count(b"&") >= MAX_QUERY_PARAMETERS:
        raise HTTPException(400, f"The URL has more than {MAX_QUERY_PARAMETERS} query parameters.")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise HTTPException(400, "The header Host is missing or is no host.")
    root_path: str = request.scope.get("root_path", "")
    return ScimRequest(
        method="GET" if request.method == "HEAD" else request.method,
        base_url=f"{request.scope['scheme']}://{host}{root_path}",
        path=request.scope["path"].removeprefix(root_path),
        query=dict(request.query_params),
        headers=request.headers.items(),
        body=request.received,
    )


def _response(answer: ScimResponse) -> Response:
    body = b"" if answer.body is None else orjson.dumps(answer.body)
    headers = dict(answer.headers)
    if answer.body is None:
        headers.pop("Content-Type", None)
    return Response(body, int(answer.status), headers)
