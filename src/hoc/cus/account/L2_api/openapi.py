"""The OpenAPI 3.1 document, generated from the operations the router serves."""

import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api import consistency
from hoc.cus.account.L2_api.openapi_examples import example_of
from hoc.cus.account.L2_api.openapi_schemas import Schema, Schemas, reference
from hoc.cus.account.L2_api.operations import AnyOperation, Opens, Requires

CACHED_DOCUMENT: Final = {"Cache-Control": "max-age=300"}
"""The headers of a document that is the same for every caller, until the next version of hoc."""

_GENERAL_ERRORS: Final = (400, 401, 403, 503)
_BODY_ERRORS: Final = (413, 415)
_ERROR_HEADERS: Final = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}
_OPTIONAL_ERROR_HEADERS: Final = {429: ("Retry-After",)}
"""A limit that no waiting ends, such as that of a tenant's SCIM tokens, has none."""

_DESCRIPTION: Final = """
Every error is a problem document (RFC 9457) whose `code` is stable. Times are in UTC. A list continues with
the `cursor` that the page before gave as `next_cursor`. An operation with `If-Match` is conditional on the
`ETag` that a read gave (RFC 9110, section 13); any other answers 412 to a tag there. A request that repeats
an `Idempotency-Key` gets the first answer. Where lists are read on a replica, a change is answered with a
`Consistency-Token`; a list that carries it shows the change, whichever server answers.
"""

_WHO: Final = {
    Requires.NOTHING: "Anybody may call this.",
    Requires.CALLER: "Any caller with valid credentials may call this.",
    Requires.TENANT: "A member whose role allows it may call this, in the tenant of the credentials.",
    Requires.MEMBER: "Any member may call this, in the tenant of the credentials.",
}

_PARAMETERS: Final = {
    "If-Match": "The `ETag` of the version to change; the change is refused if the resource has another.",
    "If-None-Match": "The `ETag` of what is known; the answer is 304 if there is nothing else.",
    "Idempotency-Key": "Any text that names this request; sent again with it, it has no second effect.",
    consistency.HEADER: "What a change was answered with; the answer then shows that change.",
    "cursor": "Continues a list: `next_cursor` of the page before.",
    "limit": "The most items of a page.",
    "offset": "The number of items to skip.",
    "status": "Only those with this status.",
    "role": "Only members with this role.",
}

_SECURITY_SCHEMES: Final[dict[str, Schema]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, for what needs no scope.",
    },
    "scopedBearer": {
        "type": "oauth2",
        "description": "An access token with a scope. The URL is an example: your issuer's is another.",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "https://issuer.example.com/oauth2/token",
                "scopes": {
                    "accounts:read": "Read accounts.",
                    "accounts:write": "Create and change accounts.",
                    "accounts:support": "Read and answer the support tickets of any tenant.",
                    "accounts:admin": "Everything that the identity service does.",
                },
            }
        },
    },
    "gatewaySecret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hoc-Gateway-Secret",
        "description": "Shows that the gateway sent the other headers; it removes all of them from requests.",
    },
    "gatewayUser": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hoc-User-Id",
        "description": "The user that the gateway has authenticated. `X-Hoc-Tenant-Id`, `X-Hoc-Email`,"
        " `X-Hoc-Email-Verified` and `X-Hoc-Scopes` (separated by spaces) may be beside it.",
    },
}

_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "format": "int32"},
        "detail": {"type": "string", "description": "for people"},
        "instance": {"type": "string", "description": "the request's path"},
        "code": {"type": "string", "description": "stable, for programs"},
        "request_id": {"type": ["string", "null"]},
        "errors": {"type": "array", "items": reference("FieldProblem")},
    },
}
_FIELD_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "One bad field. `pointer` is a JSON pointer into the body, or `?name` for a parameter.",
    "required": ["pointer", "detail"],
    "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
}


def openapi_route(operations: Sequence[AnyOperation], *, title: str, version: str) -> Route:
    """Serves the document under ``/openapi.json``."""

    @cache
    def document(server: str) -> bytes:
        return orjson.dumps(openapi_document(operations, title=title, version=version, server=server))

    async def openapi(request: Request) -> Response:
        server = request.scope.get("root_path", "")
        return Response(document(server), headers=CACHED_DOCUMENT, media_type="application/json")

    return Route("/openapi.json", openapi)


def openapi_document(
    operations: Sequence[AnyOperation], *, title: str, version: str, server: str
) -> dict[str, Any]:
    """The document as a plain dictionary; ``server`` is the path under which the operations are mounted."""
    schemas = Schemas()
    schemas.named |= {"Problem": _PROBLEM, "FieldProblem": _FIELD_PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        body = None if operation.body is None else schemas.add(operation.body, "validation")
        result = _result_schema(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, body, result, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": cleandoc(_DESCRIPTION),
            "contact": {"name": "hoc"},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server or "/"}],
        "tags": _tags(operations),
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": _security_schemes(operations)},
        "security": _security(()),
    }


def _tags(operations: Iterable[AnyOperation]) -> list[Schema]:
    """One for each module of operations, described by its docstring."""
    modules = dict.fromkeys(operation.handler.__module__ for operation in operations)
    return [
        {"name": _tag(module), "description": (sys.modules[module].__doc__ or "").partition("\n")[0]}
        for module in modules
    ]


def _tag(module: str) -> str:
    return module.rpartition(".")[2]


def _security_schemes(operations: Sequence[AnyOperation]) -> dict[str, Schema]:
    is_scoped = any(operation.scopes for operation in operations)
    return {name: scheme for name, scheme in _SECURITY_SCHEMES.items() if is_scoped or name != "scopedBearer"}


def _security(scopes: Sequence[str]) -> list[Schema]:
    tokens = [{"scopedBearer": [scope]} for scope in scopes] or [{"bearer": []}]
    return [*tokens, {"gatewaySecret": [], "gatewayUser": []}]


def _result_schema(operation: AnyOperation, schemas: Schemas) -> Schema:
    result = schemas.add(operation.json_type, "serialization")
    if operation.is_page:
        page = schemas.named[operation.json_type.__name__]
        page["properties"]["next_cursor"] = {"type": ["string", "null"]}
        page["required"] = list(dict.fromkeys([*page["required"], "next_cursor"]))
    return result


def _operation(operation: AnyOperation, body: Schema | None, result: Schema, schemas: Schemas) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _description(operation),
        "tags": [_tag(operation.handler.__module__)],
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation, schemas),
            *_header_parameters(operation),
        ],
        "responses": _responses(operation, result, schemas),
    }
    if body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": body, "example": _example(body, schemas)}},
        }
    if operation.requires is Requires.NOTHING:
        described["security"] = [{}, *_security(())]
    elif operation.scopes:
        described["security"] = _security(operation.scopes)
        if operation.own is not None:
            described["security"].append({"bearer": []})
    return described


def _description(operation: AnyOperation) -> str:
    if not operation.scopes:
        return _WHO[operation.requires]
    scopes = " or ".join(f"`{scope}`" for scope in operation.scopes)
    own = "" if operation.own is None else f", and the account's owner, whose id is `{operation.own}`"
    return f"Callers with the scope {scopes} may call this{own}."


def _example(schema: Schema, schemas: Schemas) -> Any:  # noqa: ANN401 - any JSON
    example = example_of(schema, schemas.named)
    # A body of a type without fields is a patch of preferences.
    return example or {"theme": "dark"}


def _parameter(name: str, place: str, schema: Schema, *, required: bool) -> Schema:
    described = {"name": name, "in": place, "required": required, "schema": schema}
    return described | ({"description": _PARAMETERS[name]} if name in _PARAMETERS else {})


def _path_parameters(operation: AnyOperation) -> list[Schema]:
    pattern = "^.+$" if operation.ends_with_any_text else "^[^/]+$"
    return [
        _parameter(name, "path", {"type": "string", "pattern": pattern}, required=True)
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


def _query_parameters(operation: AnyOperation, schemas: Schemas) -> list[Schema]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema()
    return [
        _parameter(
            name,
            "query",
            schemas.parameter(operation.name, name, field),
            required=name in schema.get("required", ()),
        )
        for name, field in schema["properties"].items()
    ]


def _header_parameters(operation: AnyOperation) -> list[Schema]:
    names = (
        ("If-None-Match", operation.method == "GET" and operation.is_versioned),
        ("If-Match", operation.conditional),
        ("Idempotency-Key", operation.idempotent),
        (consistency.HEADER, operation.opens is Opens.REPLICA),
    )
    patterns = {consistency.HEADER: {"pattern": consistency.PATTERN}}
    return [
        _parameter(name, "header", {"type": "string"} | patterns.get(name, {}), required=False)
        for name, applies in names
        if applies
    ]


def _responses(operation: AnyOperation, result: Schema, schemas: Schemas) -> Schema:
    headers = _headers("X-Request-Id", *(("ETag",) if operation.is_versioned else ()))
    success: Schema = {
        "description": HTTPStatus(operation.status).phrase,
        "headers": headers,
        "content": {"application/json": {"schema": result, "example": _example(result, schemas)}},
    }
    if operation.is_page:
        success["headers"] = headers | _headers("Link", required=False)
    if operation.method != "GET":
        success["headers"] = headers | _headers(consistency.HEADER, required=False)
    errors = {*_GENERAL_ERRORS, *operation.errors}
    if operation.body is not None:
        errors.update(_BODY_ERRORS)
    if operation.conditional:
        errors.add(412)
    if operation.idempotent:
        errors.add(422)
    successes = {str(status): success for status in operation.successes}
    if operation.method == "GET" and operation.is_versioned:
        successes["304"] = {"description": HTTPStatus(304).phrase, "headers": headers}
    return successes | {str(status): _problem(status) for status in sorted(errors)}


def _problem(status: int) -> Schema:
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_")
    example: Schema = {
        "type": f"urn:hoc:problem:{code}",
        "title": phrase,
        "status": status,
        "detail": "What was wrong, with what, and what to do.",
        "instance": "/the/path",
        "code": code,
        "request_id": "0199f3a2",
        "errors": [],
    }
    return {
        "description": phrase,
        "headers": _headers("X-Request-Id", *_ERROR_HEADERS.get(status, ()))
        | _headers(*_OPTIONAL_ERROR_HEADERS.get(status, ()), required=False),
        "content": {"application/problem+json": {"schema": reference("Problem"), "example": example}},
    }


def _headers(*names: str, required: bool = True) -> Schema:
    return {name: {"required": required, "schema": {"type": "string"}} for name in names}
