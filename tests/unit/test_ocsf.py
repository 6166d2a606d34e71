"""Events in OCSF, held to the schema that its makers publish and `ocsf-json-schema` carries."""

import dataclasses
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from ocsf_json_schema import (  # pyright: ignore[reportMissingTypeStubs] - it has no types
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,  # pyright: ignore[reportUnknownVariableType] - as above
)

from hoc.cus.account.L5_schemas.events import EVENTS, Blanked, blanked_fields
from hoc.events.ocsf import OCSF_VERSION, ocsf_event

DATA = {
    "email": "ada@example.com",
    "name": "Ada",
    "role": "admin",
    "user_id": "usr_ada",
    "tenant_id": "ten_1",
    "is_active": True,
}
CLASSES = {"account_change": 3001, "entity_management": 3004, "user_access": 3005}


@cache
def validator(class_name: str) -> Validator:
    return Draft202012Validator(published().get_class_schema(class_name=class_name))


@cache
def published() -> Any:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))


def problems(event: dict[str, Any]) -> list[str]:
    [name] = [name for name, uid in CLASSES.items() if uid == event["class_uid"]]
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(event)]


def happened(kind: str, **changed: Any) -> dict[str, Any]:
    """An event as the export reads it. A field that is changed to None is left out, as erasures do."""
    names = [field.name for field in dataclasses.fields(EVENTS[kind])]
    data = {name: DATA.get(name, "x") for name in names} | changed
    return {
        "sequence": 7,
        "event_id": "0197",
        "type": kind,
        "time": "2026-03-14T10:00:00.1234+00:00",
        "tenant_id": data.get("tenant_id"),
        "user_id": data.get("user_id"),
        "actor": "usr_boss",
        "data": {name: value for name, value in data.items() if value is not None},
    }


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_is_one_of_the_published_schema(kind: str) -> None:
    """Also once its texts are blanked, whoever caused it, and with an address that OCSF does not know."""
    gone = dict.fromkeys(blanked_fields(EVENTS[kind], *Blanked))
    has_address = "email" in {field.name for field in dataclasses.fields(EVENTS[kind])}
    abroad = {"email": "jürgen@bücher.example"} if has_address else {}
    for changed in ({}, gone, abroad):
        for actor in ("usr_boss", "scim:tok_1", None):
            assert problems(ocsf_event(happened(kind, **changed) | {"actor": actor})) == []


@pytest.mark.parametrize(
    ("kind", "data", "type_uid"),
    [
        ("user.created", {}, 300101),
        ("user.status_changed", {"is_active": False}, 300105),
        ("user.status_changed", {"is_active": True}, 300102),
        ("user.erased", {}, 300106),
        ("user.signed_in", {}, 300199),
        ("member.role_changed", {}, 300501),
        ("member.left", {}, 300502),
        ("invitation.created", {}, 300401),
        ("scim.token_revoked", {}, 300404),
        ("tenant.updated", {}, 300403),
    ],
)
def test_events_are_of_the_class_and_activity(kind: str, data: dict[str, Any], type_uid: int) -> None:
    event = ocsf_event(happened(kind, **data))
    assert event["type_uid"] == type_uid
    assert event["metadata"]["event_code"] == kind
    assert event["time"] == 1_773_482_400_123
    assert event["actor"] == {"user": {"uid": "usr_boss"}}


def test_a_membership_names_its_role_and_its_tenant() -> None:
    event = ocsf_event(happened("member.joined"))
    assert (event["user"]["uid"], event["privileges"]) == ("usr_ada", ["admin"])
    assert event["metadata"]["tenant_uid"] == "ten_1"


def test_the_schema_refuses_what_it_does_not_know() -> None:
    event = ocsf_event(happened("user.created"))
    assert problems(event | {"severity_id": 12}) != []
    assert problems(event | {"colour": "red"}) != []
    assert problems({name: value for name, value in event.items() if name != "user"}) != []
