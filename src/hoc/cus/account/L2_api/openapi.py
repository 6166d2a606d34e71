"""The OpenAPI 3.1 document, generated from the operations the router serves."""

import re
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.cus.account.L2_api.operations import AnyOperation, Requires

CACHED_DOCUMENT = {"Cache-Control": "max-age=300"}
"""The headers of a document that is the same for every caller, until the next version of hoc."""

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


def _result_schema(operation: AnyOperation, schemas: dict[str, Any]) -> dict[str, Any]:
    result = _reference(operation.json_type, "serialization", schemas)
    if operation.is_page:
        page = schemas[operation.json_type.__name__]
        page["properties"]["next_cursor"] = {"type": ["string", "null"]}
        page["required"] = list(dict.fromkeys([*page["required"], "next_cursor"]))
    return result


def _reference(model: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a class, or a list of one
    """Register the model and those in it. Returns a reference, or the schema of a type without a name."""
    schema = TypeAdapter(model).json_schema(mode=mode, ref_template=_SCHEMAS)
    schemas |= schema.pop("$defs", {})
    if not isinstance(model, type):
        return schema
    schemas[model.__name__] = schema
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _operation(
    operation: AnyOperation, body: dict[str, Any] | None, result: dict[str, Any]
) -> dict[str, Any]:
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
    if operation.requires is Requires.NOTHING:
        described["security"] = [{}, {"bearer": []}]
    return described


def _path_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


def _query_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": _given(field)}
        for name, field in schema["properties"].items()
    ]


def _given(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is given: an absent one is no null."""
    [schema] = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    return {key: value for key, value in schema.items() if key not in {"title", "default"}}


def _header_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    names = [
        name
        for name, applies in (("If-Match", operation.conditional), ("Idempotency-Key", operation.idempotent))
        if applies
    ]
    return [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]


def _responses(operation: AnyOperation, result: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": HTTPStatus(operation.status).phrase,
        "headers": _headers("X-Request-Id", *(("ETag",) if operation.is_versioned else ())),
        "content": {"application/json": {"schema": result}},
    }
    if operation.is_page:
        success["headers"] |= _headers("Link", required=False)
    errors = {*_GENERAL_ERRORS, *operation.errors}
    if operation.body is not None:
        errors.update(_BODY_ERRORS)
    if operation.idempotent:
        errors.add(422)
    successes = {str(status): success for status in operation.successes}
    return successes | {str(status): _problem(status) for status in sorted(errors)}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers("X-Request-Id", *_ERROR_HEADERS.get(status, ())),
        "content": {"application/problem+json": {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}},
    }


def _headers(*names: str, required: bool = True) -> dict[str, Any]:
    return {name: {"required": required, "schema": {"type": "string"}} for name in names}
