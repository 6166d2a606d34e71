"""The AsyncAPI document describes every subject, and real messages match it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from jsonschema.protocols import Validator
from pydantic import SecretStr, TypeAdapter

from hoc.asgi import Accounts
from hoc.cus.account.L5_schemas.events import EVENTS, blanked_fields
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.events.asyncapi import asyncapi_document
from hoc.events.billing import INBOUND
from hoc.events.message import message_of
from hoc.settings import Settings

DOCUMENT: dict[str, Any] = orjson.loads(orjson.dumps(asyncapi_document()))
MODELS: dict[str, type] = {**EVENTS, **{model.subject: model for model in INBOUND}}

instances_of: Callable[[type], st.SearchStrategy[Any]] = st.from_type


def resolved(reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def operation_of(subject: str) -> Any:
    """The operation on the subject's channel."""
    [operation] = [
        operation
        for operation in DOCUMENT["operations"].values()
        if re.sub(r"{\w+}", "*", resolved(operation["channel"]["$ref"])["address"]) == subject
    ]
    return operation


def message_on(subject: str) -> Any:
    [reference] = operation_of(subject)["messages"]
    return resolved(resolved(reference["$ref"])["$ref"])


def validator(subject: str, part: str) -> Validator:
    return Draft7Validator({**message_on(subject)[part], "components": DOCUMENT["components"]})


def in_json(model: type, instance: Any) -> Any:
    return TypeAdapter(model).dump_python(instance, mode="json")


def test_each_subject_has_a_channel_with_its_message() -> None:
    assert len(DOCUMENT["channels"]) == len(DOCUMENT["operations"]) == len(MODELS)
    for subject in MODELS:
        assert operation_of(subject)["action"] == ("send" if subject in EVENTS else "receive")
        assert message_on(subject)["name"] == subject
        assert message_on(subject)["summary"]


def test_a_wildcard_is_a_parameter_of_its_channel() -> None:
    for channel in DOCUMENT["channels"].values():
        assert list(channel.get("parameters", {})) == re.findall(r"{(\w+)}", channel["address"])


def test_every_reference_leads_somewhere() -> None:
    found = re.findall(r'"\$ref":"([^"]+)"', orjson.dumps(DOCUMENT).decode())
    assert found
    assert all(resolved(reference) for reference in found)


def test_its_schemas_are_valid_json_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_the_document_is_deterministic() -> None:
    assert orjson.dumps(asyncapi_document()) == orjson.dumps(asyncapi_document())


@pytest.mark.parametrize("subject", MODELS)
@settings(max_examples=10)
@given(data=st.data())
def test_a_payload_is_valid_with_its_models_fields_alone(data: st.DataObject, subject: str) -> None:
    model = MODELS[subject]
    payload = in_json(model, data.draw(instances_of(model)))
    assert validator(subject, "payload").is_valid(payload)
    for field in fields(model):
        renamed = {f"other_{name}" if name == field.name else name: value for name, value in payload.items()}
        may_lack = field.default is not MISSING or (subject in EVENTS and field.name in blanked_fields(model))
        assert validator(subject, "payload").is_valid(renamed) is may_lack
        assert not validator(subject, "payload").is_valid({**payload, field.name: {}})


def headers(**given_values: Any) -> Mapping[str, str]:
    values: dict[str, Any] = {
        "event_id": "0199f3c2-0000-7000-8000-000000000000",
        "type": "user.created",
        "time": datetime(2026, 3, 14, tzinfo=UTC),
        "tenant_id": None,
        "user_id": None,
        "actor": None,
        "data": {},
        "sequence": None,
    }
    return message_of(EventResult(**{**values, **given_values}), "urn:hoc:accounts").headers


@pytest.mark.parametrize(
    "written",
    [
        headers(),
        headers(user_id="usr_1", actor="usr_2", sequence=2**63 - 1),
        headers(tenant_id="ten_1", actor="Zoë 100%"),
    ],
)
def test_the_described_headers_are_those_of_a_message(written: Mapping[str, str]) -> None:
    described = validator("user.created", "headers")
    schema = DOCUMENT["components"]["schemas"]["EventHeaders"]
    assert described.is_valid(dict(written))
    assert set(schema["required"]) <= set(written) <= set(schema["properties"])
    for name in schema["required"]:
        assert not described.is_valid({other: value for other, value in written.items() if other != name})


async def test_the_document_is_served_without_authentication() -> None:
    accounts = Accounts(Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none")))
    transport = httpx.ASGITransport(accounts.identity_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hoc.test") as client:
        answer = await client.get("/asyncapi.json")
    await accounts.database.close()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
