"""The OpenAPI 3.1 document, generated from the operations the router serves."""

import re
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from hoc.cus.account.L2_api.operations import Operation

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


def openapi_document(operations: list[Operation], *, title: str, version: str, server: str) -> dict[str, Any]:
    """The document as a plain dictionary; ``server`` is the path under which the operations are mounted."""
    bodies = [operation.body for operation in operations if operation.body is not None]
    _, defined = models_json_schema(
        [(body, "validation") for body in dict.fromkeys(bodies)], ref_template=_SCHEMAS
    )
    schemas: dict[str, Any] = {"Problem": _PROBLEM} | defined.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        result = _result_schema(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, result)
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
    """Register the result's dataclass and those it contains; a reference to it."""
    schema = TypeAdapter(operation.result).json_schema(mode="serialization", ref_template=_SCHEMAS)
    schemas |= schema.pop("$defs", {})
    name = operation.result.__name__
    if operation.query is not None:
        # A page is its result and the cursor of the next one.
        schema["properties"]["next_cursor"] = {"type": ["string", "null"]}
        schema["required"] = [*schema["required"], "next_cursor"]
    schemas[name] = schema
    return {"$ref": _SCHEMAS.format(model=name)}


def _operation(operation: Operation, result: dict[str, Any]) -> dict[str, Any]:
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
    if operation.body is not None:
        schema = {"$ref": _SCHEMAS.format(model=operation.body.__name__)}
        required = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": schema}},
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
    integer = {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "offset": {"type": "integer", "minimum": 0, "maximum": 10_000},
    }
    return [
        {"name": name, "in": "query", "required": False, "schema": integer.get(name, {"type": "string"})}
        for name in operation.query.model_fields
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
    if operation.query is not None:
        success["headers"] |= _headers("Link", required=False)
    errors = {*_GENERAL_ERRORS, *operation.errors}
    if operation.body is not None:
        errors.update(_BODY_ERRORS)
    if operation.idempotent:
        errors.add(422)
    return {str(operation.status): success} | {str(status): _problem(status) for status in sorted(errors)}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers("X-Request-Id", *_ERROR_HEADERS.get(status, ())),
        "content": {"application/problem+json": {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}},
    }


def _headers(*names: str, required: bool = True) -> dict[str, Any]:
    return {name: {"required": required, "schema": {"type": "string"}} for name in names}
