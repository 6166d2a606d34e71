"""One HTTP call: who calls, what is asked, in which transaction, and how it is answered."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hoc.cus.account.L2_api.authentication import Caller, caller_of
from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.problems import invalid_fields
from hoc.cus.account.L5_engines.access import require_reader
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.records import Access, IdempotencyKey, Page, StoredResponse, Versioned
from hoc.database import Database
from hoc.sharing import EqualReads, SharedReads

T = TypeVar("T")
BodyT = TypeVar("BodyT")

MAX_BODY_BYTES = 65_536
JSON = "application/json"

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)

_NUMBERS = {"limit", "offset", "page", "page_size", "after"}
_ETAG = re.compile(r'"([0-9]{1,9})"')


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list, ready to be sent to everyone who asked for it."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Gate:
    """What every call needs behind it."""

    database: Database
    access: SharedReads[tuple[str, str], Access]
    lists: EqualReads[Listed]
    idempotency: Idempotency


class Call:
    def __init__(self, gate: Gate, request: Request) -> None:
        self._gate = gate
        self._request = request
        self._raw_body = b""

    @property
    def _path(self) -> str:
        # Not request.url, in which the Host header and the query string have a part.
        path: str = self._request.scope["path"]
        return path

    @property
    def optional_caller(self) -> Caller | None:
        return caller_of(self._request)

    @property
    def caller(self) -> Caller:
        """Who calls. Raises NotAuthenticatedError for nobody."""
        caller = self.optional_caller
        if caller is None:
            raise NotAuthenticatedError("Say who calls: this needs credentials, and none that count came.")
        return caller

    @property
    def tenant_id(self) -> str:
        """The tenant that the caller's credentials select, which says nothing of what they may do there."""
        tenant_id = self.caller.tenant_id
        if tenant_id is None:
            raise ForbiddenError("Your credentials select no tenant.", code="no_tenant")
        return tenant_id

    def authorize(self, scopes: tuple[str, ...], *, own: str | None = None) -> None:
        """Let a caller with one of ``scopes`` pass, and one whose own account it is."""
        caller = self.caller
        granted = getattr(self._request.scope.get("auth"), "scopes", ())
        if caller.user_id != own and not any(scope in granted for scope in scopes):
            raise ForbiddenError(f"This needs the scope {' or '.join(scopes)}.", code="missing_scope")

    async def member(self) -> Access:
        """The caller as a member of the selected tenant, as of now; concurrent calls share the read."""
        return require_reader(await self._gate.access.get((self.tenant_id, self.caller.user_id)))

    def path(self, name: str) -> str:
        """A path parameter; one that could not be stored cannot be found either."""
        value = str(self._request.path_params[name])
        if not is_storable_id(value):
            raise NotFoundError("There is no such object.")
        return value

    def query(self, model: type[Query]) -> dict[str, Any]:
        """The given query parameters as keyword arguments of an engine's list."""
        given = self._request.query_params
        if repeated := _repeated(given, model):
            raise InvalidInputError(
                f"{repeated[0]}: given twice", problems=(FieldProblem(f"?{repeated[0]}", "given twice"),)
            )
        try:
            parsed = model.model_validate(dict(given)).model_dump(exclude_none=True)
        except ValidationError as refusal:
            raise invalid_fields(refusal, "?") from None
        return parsed | {name: int(parsed[name]) for name in _NUMBERS & parsed.keys()}

    async def body(self, model: type[BodyT]) -> BodyT:
        """The JSON body as ``model``. Raises 415, 413, or InvalidInputError with a pointer per field."""
        media_type = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            raise HTTPException(415, f"Send the body as {JSON}.")
        self._raw_body = await self._read()
        try:
            # Only for what it refuses: numbers beyond a double, lone surrogates, hostile depth.
            orjson.loads(self._raw_body)
            body: BodyT = _adapter(model).validate_json(self._raw_body)
        except orjson.JSONDecodeError as refusal:
            raise InvalidInputError(f"The body is not JSON: {refusal.msg}", code="invalid_json") from None
        except ValidationError as refusal:
            raise invalid_fields(refusal, "/") from None
        return body

    async def optional_body(self, model: type[BodyT]) -> BodyT:
        """Like `body`, but no body at all means every default."""
        if "content-type" not in self._request.headers and not await self._read():
            return model()
        return await self.body(model)

    def expected_version(self) -> int | None:
        """The version in ``If-Match``, None for any; a tag that is none of ours matches nothing."""
        tag = self._request.headers.get("if-match")
        if tag is None or tag.strip() == "*":
            return None
        version = _ETAG.fullmatch(tag.strip())
        if version is None:
            raise StaleVersionError("If-Match names no version of this resource; read it again.")
        return int(version[1])

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async with self._gate.database.reading() as session:
            return await work(session)

    async def write_once(self, work: Callable[[Session], Awaitable[object]]) -> Response:
        """Run ``work`` of one statement, which is a transaction by itself, and answer with its result."""
        return answer(await self._gate.database.write(work))

    async def write(
        self,
        work: Callable[[Session], Awaitable[object]],
        *,
        status: int = 200,
        idempotent_in: str | None = None,
    ) -> Response:
        """Run ``work`` in one transaction and answer with its result.

        With ``idempotent_in``, a tenant or "" for none, an ``Idempotency-Key`` makes a repeated call get the
        first answer, as long as the caller is still a member there.
        """
        key = None if idempotent_in is None else self._idempotency_key(idempotent_in)

        async def transaction(session: Session) -> Response | StoredResponse:
            if key is not None:
                stored = await self._gate.idempotency.begin(session, key, self._raw_body)
                if stored is not None:
                    return stored
            response = answer(await work(session), status)
            if key is not None:
                await self._gate.idempotency.complete(
                    session, key, status_code=status, body=bytes(response.body)
                )
            return response

        outcome = await self._gate.database.transact(transaction)
        if isinstance(outcome, Response):
            return outcome
        if idempotent_in:
            await self.member()
        return Response(outcome.body, outcome.status_code, media_type=JSON)

    async def page(
        self, query: type[Query], read: Callable[..., Awaitable[Page[Any]]], *whose: str
    ) -> Response:
        """Answer with a page of the list of ``whose``: ``read`` gets them, and what is asked as ``query``.

        ``next_cursor`` is in the body and, when there is more, in a ``Link``. Equal calls share a read.
        """

        async def listed() -> Listed:
            parameters = self.query(query)
            page = await self.read(lambda session: read(session, *whose, **parameters))
            body: dict[str, Any] = {**vars(page.value), "next_cursor": page.next_cursor}
            return Listed(_encode(body), self.link(page.next_cursor))

        key = (self._path, self._request.scope["query_string"], *whose)
        found = await self._gate.lists.get(key, listed)
        return Response(found.body, headers=found.headers, media_type=JSON)

    def link(self, next_cursor: str | None) -> dict[str, str]:
        """The ``Link`` header (RFC 8288) to the page at ``next_cursor``; none, if there is none."""
        if next_cursor is None:
            return {}
        query = dict(self._request.query_params) | {"cursor": next_cursor}
        for start in ("offset", "page"):
            query.pop(start, None)
        return {"Link": f'<{quote(self._path)}?{urlencode(query)}>; rel="next"'}

    async def _read(self) -> bytes:
        received = bytearray()
        async for chunk in self._request.stream():
            received += chunk
            if len(received) > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body must not exceed {MAX_BODY_BYTES} bytes.")
        return bytes(received)

    def _idempotency_key(self, tenant_id: str) -> IdempotencyKey | None:
        key = self._request.headers.get("idempotency-key")
        if key is None:
            return None
        target = f"{self._request.method} {self._path}"[:255]
        return IdempotencyKey(tenant_id, self.caller.user_id, target, key)


def _repeated(given: QueryParams, model: type[Query]) -> list[str]:
    if len(given) == len(given.multi_items()):
        return []
    return [name for name in model.model_fields if len(given.getlist(name)) > 1]


def answer(result: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A result as JSON; a versioned one with its ``ETag``."""
    if isinstance(result, Versioned):
        versioned = cast("Versioned[object]", result)
        etag = f'"{versioned.version}"'
        return Response(_encode(versioned.value), status, {"ETag": etag}, media_type=JSON)
    return Response(_encode(result), status, headers, media_type=JSON)


def _encode(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
