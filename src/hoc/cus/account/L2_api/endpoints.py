"""Doing what an `Operation` says: from a request to an answer."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from hoc.concurrency.single_flight import SingleFlight
from hoc.cus.account.L2_api.authentication import Caller, caller_of
from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.call import Call, require_caller
from hoc.cus.account.L2_api.callers import Callers
from hoc.cus.account.L2_api.conditions import answer_to_read, check_without_version, expected_versions
from hoc.cus.account.L2_api.consistency import Consistency
from hoc.cus.account.L2_api.operations import (
    CALLER,
    MEMBER,
    NO_SESSION,
    NOTHING,
    REPLICA,
    TENANT,
    AnyOperation,
    Opens,
)
from hoc.cus.account.L2_api.request import (
    BodyParser,
    ReceivedRequest,
    check_path,
    json_body,
    parse_query,
)
from hoc.cus.account.L2_api.response import EncodedPage, JsonResponse, encode_page, respond
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import ForbiddenError, InvalidInputError, StaleVersionError
from hoc.cus.account.L5_schemas.port_types import IdempotencyKey, Page, StoredResponse
from hoc.database import Database, Reads

RulesT = TypeVar("RulesT")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What every endpoint needs. ``on_work_queued`` is called after a commit that may have queued a mail."""

    database: Database
    callers: Callers
    bodies: BodyParser
    pages: SingleFlight[EncodedPage]
    idempotency: Idempotency
    on_work_queued: Callable[[], None]
    reads: Reads


def routes(operations: Iterable[AnyOperation], rules: object, dependencies: Dependencies) -> list[Route]:
    """The operations' routes; ``rules`` is what their handlers take first."""
    return [_route(operation, Endpoint(operation, rules, dependencies)) for operation in operations]


def _route(operation: AnyOperation, endpoint: "Endpoint[object]") -> Route:
    route = Route(operation.path, endpoint.handle, methods=[operation.method], name=operation.name)
    if operation.ends_with_any_text:
        # The path itself stays as it is documented and measured.
        route.path_regex, _, _ = compile_path(f"{operation.path[:-1]}:path}}")
    return route


class Endpoint(Generic[RulesT]):
    """Answers the requests of one operation."""

    def __init__(self, operation: AnyOperation, rules: RulesT, dependencies: Dependencies) -> None:
        self._operation = operation
        self._rules = rules
        self._database = dependencies.database
        self._callers = dependencies.callers
        self._bodies = dependencies.bodies
        self._pages = dependencies.pages
        self._idempotency = dependencies.idempotency
        self._on_work_queued = dependencies.on_work_queued
        self._reads = dependencies.reads
        self._consistency = Consistency(dependencies.reads.replica)
        self._may_be_stale = operation.opens is REPLICA
        self._is_page = operation.is_page
        self._scopes = frozenset(operation.scopes)
        # A single statement about the caller alone finds the account of the primary issuer's subject itself.
        self._finds_account_later = operation.requires is CALLER and operation.opens in {
            Opens.READ,
            Opens.STATEMENT,
        }

    async def handle(self, request: ReceivedRequest) -> Response:
        call: Call[object, object] = Call(
            caller_of(request),
            getattr(request.scope.get("auth"), "scopes", ()),
            request.path_params,
            body=None,
            query=None,
            identify=partial(self._callers.identify, request),
        )
        await self._require_rights(call)
        if self._may_be_stale:
            call.after = self._consistency.after(request.scope, caller_of(request))
        if self._is_page:
            return await self._page(request, call)
        operation = self._operation
        if operation.body is not None:
            raw = json_body(request, optional=operation.body_optional)
            call.body = operation.body() if raw is None else await self._bodies.parse(raw, operation.body)
        if operation.query is not None:
            call.query = parse_query(request, operation.query)
        elif request.scope["query_string"]:
            parse_query(request, Query)
        if operation.method == "GET":
            result = await self._run(call)
            tagged = self._tagged(request, call, result) if operation.is_versioned else ""
            return answer_to_read(request, respond(result, operation.status, tagged))
        return await self._consistency.kept(caller_of(request), self._change(request, call))

    async def _change(self, request: ReceivedRequest, call: Call[object, object]) -> Response:
        operation = self._operation
        if operation.conditional:
            tagged = self._tagged(request, call)
            response = await self._run_for_versions(call, expected_versions(request, tagged), tagged)
        elif operation.idempotent:
            check_without_version(request)
            response = await self._run_once_for_key(request, call)
        else:
            check_without_version(request)
            if operation.answers_secret:
                _check_without_key(request)
            response = respond(await self._run(call), operation.status)
        if operation.queues_work:
            self._on_work_queued()
        return response

    async def _require_rights(self, call: Call[object, object]) -> None:
        """Refuse a caller who may not. Puts its account's id into the call, unless a scope is enough."""
        operation = self._operation
        if operation.requires is MEMBER:
            await self._require_member(call)
        elif operation.requires is not NOTHING:
            require_caller(call, in_tenant=operation.requires is TENANT)
        check_path(call.path)
        if self._scopes:
            await self._require_scope(call)
        elif operation.requires is not MEMBER and call.optional_caller is not None:
            await self._find_account(call, call.optional_caller)

    async def _require_member(self, call: Call[object, object]) -> None:
        """Concurrent requests share the read of memberships."""
        call.optional_caller = await self._callers.member(call.tenant_id, call.caller)

    async def _find_account(self, call: Call[object, object], caller: Caller) -> None:
        if not (self._finds_account_later and self._callers.is_primary(caller)):
            call.optional_caller = await self._callers.account_of(caller)

    async def _require_scope(self, call: Call[object, object]) -> None:
        operation = self._operation
        if not self._scopes.isdisjoint(call.scopes):
            # Events name who made a change. Another issuer's subject may be the id of somebody's account.
            if not self._callers.is_primary(call.caller):
                call.optional_caller = await self._callers.account_of(call.caller)
            return
        if operation.own is not None:
            owner = call.path[operation.own]
            if owner == call.caller_id and self._callers.is_primary(call.caller):
                return
            call.optional_caller = await self._callers.account_of(call.caller)
            if call.caller_id == await self._callers.account_id(owner):
                return
        raise ForbiddenError(f"This needs the scope {' or '.join(operation.scopes)}.", code="missing_scope")

    def _tagged(self, request: Request, call: Call[object, object], result: object = None) -> str:
        """Which resource a tag is of. What reads it and what changes it have the same text."""
        if not call.path:  # the caller's own profile, however its account is found
            caller = caller_of(request)
            return "" if caller is None else f"{caller.issuer} {caller.user_id}"
        tenant_id = call.caller.tenant_id if self._operation.requires in {MEMBER, TENANT} else ""
        read = getattr(result, "value", None)
        whose = call.path.get("user_id") or getattr(read, "user_id", None) or next(iter(call.path.values()))
        return f"{tenant_id} {whose}"

    async def _run_for_versions(
        self, call: Call[object, object], versions: list[int] | None, tagged: str
    ) -> Response:
        """Make the change to whichever of these versions is the current one."""
        if versions is not None:
            *others, call.expected_version = versions
            for version in others:
                with suppress(StaleVersionError):
                    tried = replace(call, expected_version=version)
                    return respond(await self._run(tried), self._operation.status, tagged)
        return respond(await self._run(call), self._operation.status, tagged)

    def _run(self, call: Call[object, object]) -> Awaitable[object]:
        """The handler's result."""
        if self._operation.opens is NO_SESSION:
            return self._operation.handler(self._rules, call)
        return self._run_in_session(call)

    async def _run_in_session(self, call: Call[object, object]) -> object:
        """The handler's result, in the session that the operation opens."""

        async def work(session: Session) -> object:
            call.session = session
            return await self._operation.handler(self._rules, call)

        match self._operation.opens:
            case Opens.REPLICA:
                return await self._reads.run(work, after=call.after)
            case Opens.READ:
                async with self._database.reading() as session:
                    return await work(session)
            case Opens.STATEMENT:
                return await self._database.write(work)
            case _:
                return await self._database.atomically(work)

    async def _page(self, request: Request, call: Call[object, object]) -> Response:
        """Equal requests at the same time share one read; what members may see is the same for all."""

        async def read() -> EncodedPage:
            call.query = parse_query(request, self._operation.query or Query)
            return encode_page(request, cast("Page[object]", await self._run(call)))

        who = "" if self._operation.requires is MEMBER else call.caller_id
        tenant_id = call.caller.tenant_id
        key = (request.scope["path"], request.scope["query_string"], tenant_id, who, call.after)
        return answer_to_read(request, (await self._pages.get(key, read)).response())

    async def _run_once_for_key(self, request: ReceivedRequest, call: Call[object, object]) -> Response:
        """Answer a request that repeats an ``Idempotency-Key`` as the first request was answered.

        In a tenant, only a member gets the stored answer.
        """
        operation = self._operation
        given = request.headers.get("idempotency-key")
        if given is None:
            return respond(await self._run(call), operation.status)
        in_tenant = operation.requires is TENANT
        key = IdempotencyKey(
            tenant_id=call.tenant_id if in_tenant else "",
            principal=call.caller_id,
            route=f"{request.method} {request.scope['path']}"[:255],
            key=given,
        )

        async def work(session: Session) -> Response | StoredResponse:
            stored = await self._idempotency.begin(session, key, request.received)
            if stored is not None:
                return stored
            call.session = session
            response = respond(await operation.handler(self._rules, call), operation.status)
            await self._idempotency.complete(
                session, key, status_code=operation.status, body=bytes(response.body)
            )
            return response

        outcome = await self._database.atomically(work)
        if isinstance(outcome, Response):
            return outcome
        if in_tenant:
            await self._require_member(call)
        return JsonResponse(outcome.body or b"", outcome.status_code)


def _check_without_key(request: Request) -> None:
    """Refuse a promise that hoc cannot keep: an answer with a secret is not stored, and so not repeated."""
    if "idempotency-key" in request.headers:
        raise InvalidInputError(
            "This answer has a secret, which is not stored, so an Idempotency-Key cannot repeat it. Send the"
            " request without the key. If an answer is lost, revoke what was made, and make another.",
            code="no_idempotency_key",
        )
