"""The OpenAPI 3.1 document, generated from the operations the router serves."""

import re
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.bodies import CursorQuery
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_schemas.events import EVENTS

_SCHEMAS = "#/components/schemas/{model}"
_GENERAL_ERRORS = (400, 401, 403, 503)
_BODY_ERRORS = (413, 415)
_ERROR_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "stable, for programs"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def openapi_route(operations: list[Operation], *, title: str, version: str) -> Route:
    """Serves the document under ``/openapi.json``."""

    @cache
    def document(server: str) -> bytes:
        return orjson.dumps(openapi_document(operations, title=title, version=version, server=server))

    async def openapi(request: Request) -> Response:
        return Response(document(request.scope.get("root_path", "")), media_type="application/json")

    return Route("/openapi.json", openapi)


def openapi_document(operations: list[Operation], *, title: str, version: str, server: str) -> dict[str, Any]:
    """The document as a plain dictionary; ``server`` is the path under which the operations are mounted."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        body = None if operation.body is None else _reference(operation.body, "validation", schemas)
        result = _result_schema(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, body, result)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"bearer": []}],
    }


def _result_schema(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    result = _reference(operation.result, "serialization", schemas)
    if operation.query is not None and issubclass(operation.query, CursorQuery):
        # A page is its result and the cursor of the next one.
        page = schemas[operation.result.__name__]
        page["properties"]["next_cursor"] = {"type": ["string", "null"]}
        page["required"] = [*page["required"], "next_cursor"]
    return result


def _reference(model: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a class, or a list of one
    """Register the model and those it contains; a reference to it, or itself where it has no name."""
    schema = TypeAdapter(model).json_schema(mode=mode, ref_template=_SCHEMAS)
    schemas |= schema.pop("$defs", {})
    if not isinstance(model, type):
        return schema
    schemas[model.__name__] = schema
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _operation(operation: Operation, body: dict[str, Any] | None, result: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation),
            *_header_parameters(operation),
        ],
        "responses": _responses(operation, result),
    }
    if body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": body}},
        }
    if operation.public:
        described["security"] = [{}, {"bearer": []}]
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    known: dict[str, dict[str, Any]] = {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "offset": {"type": "integer", "minimum": 0, "maximum": 10_000},
        "after": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "page": {"type": "integer", "minimum": 1, "maximum": 10_001},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 100},
        "is_active": {"enum": ["true", "false", "all"]},
        "include_inactive": {"enum": ["true", "false"]},
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": "string", "format": "date-time"},
        "type": {"enum": list(EVENTS)},
    }
    return [
        {
            "name": name,
            "in": "query",
            "required": field.is_required(),
            "schema": known.get(name, {"type": "string"}),
        }
        for name, field in operation.query.model_fields.items()
    ]


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [
        name
        for name, applies in (("If-Match", operation.conditional), ("Idempotency-Key", operation.idempotent))
        if applies
    ]
    return [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]


def _responses(operation: Operation, result: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": HTTPStatus(operation.status).phrase,
        "headers": _headers("X-Request-Id", *(("ETag",) if operation.versioned else ())),
        "content": {"application/json": {"schema": result}},
    }
    if operation.query is not None and "cursor" in operation.query.model_fields:
        success["headers"] |= _headers("Link", required=False)
    errors = {*_GENERAL_ERRORS, *operation.errors}
    if operation.body is not None:
        errors.update(_BODY_ERRORS)
    if operation.idempotent:
        errors.add(422)
    successes = {str(status): success for status in (*operation.also, operation.status)}
    return successes | {str(status): _problem(status) for status in sorted(errors)}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers("X-Request-Id", *_ERROR_HEADERS.get(status, ())),
        "content": {"application/problem+json": {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}},
    }


def _headers(*names: str, required: bool = True) -> dict[str, Any]:
    return {name: {"required": required, "schema": {"type": "string"}} for name in names}
