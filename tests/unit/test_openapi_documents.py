"""Both OpenAPI documents say what generators of clients ask for, in every operation."""

import re
from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest
from jsonschema import Draft202012Validator
from support.routes import SERVICES

from hoc.cus.account.L2_api.openapi import openapi_document

DOCUMENTS: dict[str, dict[str, Any]] = {
    mount: orjson.loads(orjson.dumps(openapi_document(operations, title=mount, version="1", server=mount)))
    for mount, operations in SERVICES.items()
}
ENUMERATED = {
    *("role", "status", "plan", "category", "priority", "billing_period", "tenant_status"),
    *("joining", "join_role", "request"),
}


def operations(mount: str) -> Iterator[dict[str, Any]]:
    for path in DOCUMENTS[mount]["paths"].values():
        yield from path.values()


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield cast("dict[str, Any]", value)
        for inner in cast("dict[str, Any]", value).values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):  # type: ignore[redundant-cast]  # not for pyright
            yield from nodes(item)


def fields(mount: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each field of each schema, and each parameter: its owner, its name and its schema."""
    for owner, schema in DOCUMENTS[mount]["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            yield owner, name, field
    for operation in operations(mount):
        for parameter in operation["parameters"]:
            yield operation["operationId"], parameter["name"], parameter["schema"]


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_every_operation_is_described_and_tagged(mount: str) -> None:
    document = DOCUMENTS[mount]
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert all(tags.values())
    for operation in operations(mount):
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= set(tags)
    assert document["info"]["license"]["identifier"] == "Apache-2.0"


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_every_body_and_answer_has_a_valid_example(mount: str) -> None:
    document = DOCUMENTS[mount]
    for operation in operations(mount):
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for one in contents for media in one.get("content", {}).values()):
            schema = media["schema"] | {"components": document["components"]}
            validator: Any = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
            validator.validate(media["example"])


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_what_has_few_values_is_an_enumeration(mount: str) -> None:
    schemas = DOCUMENTS[mount]["components"]["schemas"]
    for owner, name, field in fields(mount):
        if name in ENUMERATED and owner != "Problem":
            [named] = {node["$ref"] for node in nodes(field) if "$ref" in node}
            assert len(schemas[named.rpartition("/")[2]]["enum"]) > 1, (owner, name)


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_every_whole_number_has_its_width(mount: str) -> None:
    for owner, name, field in fields(mount):
        for node in nodes(field):
            if node.get("type") == "integer":
                assert node["format"] in {"int32", "int64"}, (owner, name)
                if re.search("cents|tokens|runs|total|sequence|after", name):
                    assert node["format"] == "int64", (owner, name)


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_no_field_has_a_default(mount: str) -> None:
    """openapi-typescript takes a field with a default for one that must be sent."""
    assert not [node for node in nodes(DOCUMENTS[mount]) if "default" in node]


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_scopes_are_declared_where_they_are_needed(mount: str) -> None:
    document = DOCUMENTS[mount]
    schemes = document["components"]["securitySchemes"]
    assert schemes["gatewaySecret"]["name"] == "X-Hoc-Gateway-Secret"
    by_name = {operation.name: operation for operation in SERVICES[mount]}
    for described in operations(mount):
        named = [way["scopedBearer"] for way in described.get("security", ()) if "scopedBearer" in way]
        assert named == [[scope] for scope in by_name[described["operationId"]].scopes]
        declared = schemes.get("scopedBearer", {"flows": {"clientCredentials": {"scopes": {}}}})
        assert {scope for [scope] in named} <= set(declared["flows"]["clientCredentials"]["scopes"])
