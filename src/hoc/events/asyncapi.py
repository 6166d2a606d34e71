"""The AsyncAPI 3.0 document of all subjects, generated from the models of published and inbound events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from hoc.cus.account.L5_schemas.events import EVENTS, blanked_fields
from hoc.distribution import installed_version
from hoc.events.billing import INBOUND

_SCHEMAS: Final = "#/components/schemas/{model}"
_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}


def _described(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {**schema, "description": description}


_EVENT_HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode. Spaces, quotation marks, percent signs and characters"
    " outside ASCII are percent-encoded.",
    "required": [
        "Nats-Msg-Id",
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-time",
        "ce-datacontenttype",
    ],
    "properties": {
        "Nats-Msg-Id": _described(_TEXT, "The event's id, by which JetStream drops duplicates."),
        "ce-specversion": {"const": "1.0"},
        "ce-id": _described(_TEXT, "The event's id, the same in every delivery."),
        "ce-source": {"type": "string", "format": "uri-reference"},
        "ce-type": _described({"enum": list(EVENTS)}, "The subject."),
        "ce-time": _described(_TIME, "When it happened, UTC."),
        "ce-datacontenttype": {"const": "application/json"},
        "ce-subject": _described(_TEXT, "The event's tenant, or its user if it has no tenant."),
        "ce-actor": _described(_TEXT, "The user or service that caused the event, if known."),
        "ce-sequence": _described(
            {"type": "string", "pattern": "^[0-9]{19}$"}, "The event's number in the sequence of all events."
        ),
        "traceparent": _described(_TEXT, "W3C Trace Context, if tracing is on."),
    },
}

_INBOUND_HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Nats-Msg-Id": _described(_TEXT, "Identifies duplicates. Default: `ce-id`, else stream and number."),
        "ce-id": _TEXT,
        "ce-time": _described(_TIME, "When it happened. If missing, the time at which JetStream stored it."),
        "traceparent": _described(_TEXT, "W3C Trace Context; hoc continues the trace."),
    },
}


@dataclass(frozen=True, slots=True)
class _Direction:
    """The messages that hoc sends, or those that it receives."""

    action: str
    models: Mapping[str, type]
    mode: JsonSchemaMode
    headers: str


_DIRECTIONS: Final = (
    _Direction("send", EVENTS, "serialization", "EventHeaders"),
    _Direction("receive", {model.subject: model for model in INBOUND}, "validation", "InboundHeaders"),
)

_adapter: Callable[[Any], TypeAdapter[Any]] = TypeAdapter


def asyncapi_document() -> dict[str, Any]:
    """The document as a plain dictionary. It is public, so it does not contain the address of NATS."""
    all_models = [
        (direction, subject, model)
        for direction in _DIRECTIONS
        for subject, model in direction.models.items()
    ]
    payloads, schemas = TypeAdapter.json_schemas(
        [(subject, direction.mode, _adapter(model)) for direction, subject, model in all_models],
        ref_template=_SCHEMAS,
    )
    for event in EVENTS.values():
        _make_optional(schemas["$defs"][event.__name__], blanked_fields(event))
    headers = {"EventHeaders": _EVENT_HEADERS, "InboundHeaders": _INBOUND_HEADERS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hoc events",
            "version": installed_version(),
            "description": "Every event is delivered at least once, and first deliveries of one user's or"
            " tenant's events are in order. A duplicate has the same id.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "NATS with JetStream.",
                "variables": {"host": {"default": "127.0.0.1:4222", "description": "Ask the operator."}},
            }
        },
        "channels": {_name(subject): _channel(subject) for _, subject, _ in all_models},
        "operations": {
            f"{direction.action}.{_name(subject)}": _operation(direction.action, subject)
            for direction, subject, _ in all_models
        },
        "components": {
            "messages": {
                _name(subject): {
                    "name": subject,
                    "title": _name(subject).replace(".", " ").replace("_", " ").capitalize(),
                    "summary": (getdoc(model) or "").replace("``", "`"),
                    "headers": {"$ref": _SCHEMAS.format(model=direction.headers)},
                    "payload": payloads[subject, direction.mode],
                }
                for direction, subject, model in all_models
            },
            "schemas": headers | schemas["$defs"],
        },
    }


def _make_optional(schema: dict[str, Any], fields: tuple[str, ...]) -> None:
    """A past event that is read again lacks what an erasure has blanked."""
    schema["required"] = [name for name in schema["required"] if name not in fields]
    for name in fields:
        schema["properties"][name]["description"] = "Absent after an erasure."


def _name(subject: str) -> str:
    return subject.removesuffix(".*")


def _channel(subject: str) -> dict[str, Any]:
    message = {"$ref": f"#/components/messages/{_name(subject)}"}
    channel = {"address": subject.replace("*", "{change}"), "messages": {_name(subject): message}}
    if "*" not in subject:
        return channel
    change = {"description": "What happened, such as `created`. hoc reads only the payload."}
    return {**channel, "parameters": {"change": change}}


def _operation(action: str, subject: str) -> dict[str, Any]:
    channel = f"#/channels/{_name(subject)}"
    message = {"$ref": f"{channel}/messages/{_name(subject)}"}
    return {"action": action, "channel": {"$ref": channel}, "messages": [message]}
