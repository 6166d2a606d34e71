"""Every text of an event says which erasure blanks it."""

from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, get_args, get_type_hints

from hoc.cus.account.L5_schemas.events import EVENTS, Blanked, blanked, blanked_fields
from hoc.events.asyncapi import asyncapi_document

NEEDS_NO_WORD = (bool, int, datetime)


def is_free_text(kind: Any) -> bool:
    """Whether a value can be any text, and not only one of an enumeration."""
    if parts := get_args(kind):
        return any(map(is_free_text, parts))
    return kind is str or not (
        isinstance(kind, type) and issubclass(kind, (*NEEDS_NO_WORD, Enum, type(None)))
    )


def test_every_text_field_is_declared() -> None:
    """A new one fails here, until it is PersonText, TenantText or PlainText."""
    undeclared = [
        f"{name}: {field.name}"
        for name, event in EVENTS.items()
        for field in fields(event)
        if is_free_text(get_type_hints(event)[field.name])
        and not field.name.endswith(("_id", "_by"))
        and blanked(get_type_hints(event, include_extras=True)[field.name]) is None
    ]
    assert undeclared == []


def test_a_blanked_field_is_optional_in_the_asyncapi_document() -> None:
    schemas = asyncapi_document()["components"]["schemas"]
    for event in EVENTS.values():
        schema = schemas[event.__name__]
        assert set(schema["properties"]) - set(schema["required"]) == set(blanked_fields(event))


def test_an_erasure_of_a_person_leaves_the_tenants_texts() -> None:
    created = EVENTS["tenant.created"]
    assert blanked_fields(created) == ("name", "slug")
    assert blanked_fields(created, Blanked.WITH_PERSON) == ()
