"""Events, written in the statement that does what they tell of: committed with it, or rolled back."""

from dataclasses import Field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    String,
    case,
    exists,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import array, insert

from hoc.cus.account.L5_schemas.events import EventData
from hoc.cus.account.L6_drivers.statements import param
from hoc.cus.account.L6_drivers.tables import outbox

ACTOR = param("actor", String)

_KEYS = ("tenant_id", "user_id")


def recorded(
    event: type[EventData],
    done: FromClause,
    *conditions: ColumnElement[bool],
    at: ColumnElement[Any],
    actor: ColumnElement[Any] = ACTOR,
    about_user: ColumnElement[Any] | None = None,
    **payload: ColumnElement[Any],
) -> CTE:
    """An event for each row of ``done``, what the statement's own changes returned.

    Args:
        event: its model; ``payload`` gives every field of it.
        conditions: which rows.
        at: when it happened.
        actor: who did it, null for nobody in particular.
        about_user: whose event it is, where the payload does not say so by a ``user_id``.
    """
    names = [field.name for field in fields(event)]
    if payload.keys() != set(names):
        raise TypeError(f"{event.__name__} has the fields {names}, not {sorted(payload)}.")
    body = func.json_build_object(
        *(part for field in fields(event) for part in (_text(field.name), _shown(field, payload[field.name])))
    )
    keys = {name: payload.get(name, null()) for name in _KEYS}
    if about_user is not None:
        keys["user_id"] = about_user
    written: dict[str, ColumnElement[Any]] = {
        "type": _text(event.event_type),
        "time": at,
        **keys,
        "actor": actor,
        "payload": body,
    }
    rows = select(*written.values()).select_from(done).where(*conditions)
    told = insert(outbox).from_select([*written], rows).returning(outbox.c.position)
    return told.cte(f"recorded_{event.__name__.lower()}")


def follows(earlier: CTE) -> ColumnElement[bool]:
    """The condition that puts an event behind another of its statement, which has no order of itself."""
    return exists().select_from(earlier)


def names_of(**is_changed: ColumnElement[bool]) -> ColumnElement[Any]:
    """The array of those names whose condition holds."""
    return func.array_remove(
        array([case((condition, _text(name))) for name, condition in is_changed.items()]), null()
    )


def _shown(field: Field[Any], value: ColumnElement[Any]) -> ColumnElement[Any]:
    if field.type not in (datetime, datetime | None):
        return value
    # JSON has a time in the zone of the session, which is the caller's.
    in_utc = func.to_json(func.timezone(_text("UTC"), value))
    return in_utc.op("#>>")(_text("{}")).op("||")(_text("+00:00"))


def _text(word: str) -> ColumnElement[str]:
    """A word of ours in the statement itself, which then has fewer parameters."""
    return literal_column(f"'{word}'", String)
