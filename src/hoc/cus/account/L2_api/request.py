"""Parsing a request's parts into typed values, or refusing them with what is wrong and where."""

import asyncio
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L2_api.admission import take_slot
from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.body_keys import check_keys
from hoc.cus.account.L2_api.problems import MAX_PROBLEMS, escaped, invalid_fields
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)

QueryT = TypeVar("QueryT", bound=Query)

MAX_BODY_BYTES = 65_536
_SMALL_BODY_BYTES = 4_096
JSON = "application/json"

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
MAX_QUERY_PARAMETERS = 100
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


def check_path(parameters: dict[str, str]) -> None:
    """Refuse a path parameter that could not be stored, as nothing can be found by it: NotFoundError."""
    for value in parameters.values():
        if not is_storable_id(value):
            raise NotFoundError("There is no such object.")


def parse_query(request: Request, model: type[QueryT]) -> QueryT:
    if request.scope["query_string"].count(b"&") >= MAX_QUERY_PARAMETERS:
        raise InvalidInputError(f"The URL has more than {MAX_QUERY_PARAMETERS} query parameters.")
    given = request.query_params
    _refuse_unknown(given, model)
    if repeated := _repeated(given, model):
        raise InvalidInputError(
            f"{repeated[0]}: given twice", problems=(FieldProblem(f"?{repeated[0]}", "given twice"),)
        )
    try:
        return model.model_validate(dict(given))
    except ValidationError as refusal:
        raise invalid_fields(refusal, "?") from None


def _refuse_unknown(given: QueryParams, model: type[Query]) -> None:
    """Raise InvalidInputError for parameters that are not the model's, naming those that may be meant."""
    known = sorted(model.model_fields)
    problems = tuple(
        FieldProblem(f"?{escaped(name)}", f"is not a parameter of this request. {_meant(name, known)}")
        for name in islice((name for name in given if name not in model.model_fields), MAX_PROBLEMS)
    )
    if problems:
        first = problems[0]
        raise InvalidInputError(f"{first.pointer} {first.detail}", problems=problems)


def _meant(name: str, known: list[str]) -> str:
    if not known:
        return "It takes no parameters"
    nearest = get_close_matches(name[:100].lower(), known, n=1, cutoff=0.5)
    suggestion = f"Did you mean {nearest[0]}? " if nearest else ""
    return f"{suggestion}It takes {', '.join(known)}"


def _repeated(given: QueryParams, model: type[Query]) -> list[str]:
    if len(given) == len(given.multi_items()):
        return []
    return [name for name in model.model_fields if len(given.getlist(name)) > 1]


class ReceivedRequest(Request):
    """A request together with its body: as much of it as is ever read."""

    received: bytes = b""

    async def receive_body(self, max_bytes: int = MAX_BODY_BYTES) -> None:
        """Receive the body, up to the part that exceeds ``max_bytes``. Raises ClientDisconnect."""
        if self.scope["method"] in _WITHOUT_BODY:
            return
        received = bytearray()
        more_follows = True
        while more_follows and len(received) <= max_bytes:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            received += message.get("body", b"")
            more_follows = message.get("more_body", False)
        self.received = bytes(received)


def json_body(request: ReceivedRequest, *, optional: bool) -> bytes | None:
    """The body's bytes; None for an absent one that is ``optional``. Raises HTTPException 413 or 415."""
    content_type = request.headers.get("content-type")
    if optional and content_type is None and not request.received:
        return None
    if (content_type or "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(415, f"Send the body as {JSON}.")
    if len(request.received) > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body must not exceed {MAX_BODY_BYTES} bytes.")
    return request.received


class BodyParser:
    """Parses bodies, the large ones one at a time: the event loop serves other requests between two of them.

    Args:
        large_bodies: its one slot is held while a large body is parsed.
    """

    def __init__(self, large_bodies: PerLoop[Limiter[None]]) -> None:
        self._large_bodies = large_bodies

    async def parse(self, raw: bytes, model: Any) -> Any:  # noqa: ANN401 - as `parse_body`
        """`parse_body`. Raises UnavailableError, too, when other large bodies take too long."""
        if len(raw) <= _SMALL_BODY_BYTES:
            return parse_body(raw, model)
        slot = self._large_bodies.get()
        await take_slot(slot)
        try:
            await asyncio.sleep(0)  # without it, all that wait would be parsed in this turn of the event loop
            return parse_body(raw, model)
        finally:
            slot.release(None)


def parse_body(raw: bytes, model: Any) -> Any:  # noqa: ANN401 - a class or an alias of one, and an instance of it
    """The JSON body as ``model``. Raises InvalidInputError with a pointer for each bad field."""
    try:
        # Only for what it refuses: numbers beyond a double, lone surrogates, hostile depth, many keys.
        check_keys(orjson.loads(raw), model)
        return _adapter(model).validate_json(raw)
    except orjson.JSONDecodeError as refusal:
        raise InvalidInputError(f"The body is not JSON: {refusal.msg}", code="invalid_json") from None
    except ValidationError as refusal:
        raise invalid_fields(refusal, "/") from None
