"""Recording events: each in the statement of its change, so that both commit or neither does."""

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
from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.fragments import NOW
from hoc.cus.account.L6_drivers.tables import outbox

ACTOR = param("actor", String)

_KEYS = ("tenant_id", "user_id")


def recorded(
    event: type[EventData],
    done: FromClause,
    *conditions: ColumnElement[bool],
    at: ColumnElement[Any] = NOW,
    actor: ColumnElement[Any] = ACTOR,
    about_user: ColumnElement[Any] | None = None,
    **payload: ColumnElement[Any],
) -> CTE:
    """Insert an event for each row of ``done``, which a change in the same statement returned.

    Args:
        event: the event's model. A field that ``payload`` does not give is the column of ``done`` of the same
            name; without such a column, a field whose name ends in ``_at`` is the event's time.
        conditions: select rows of ``done``.
        at: the event's time.
        actor: the user who made the change, null for nobody in particular.
        about_user: the user whose event it is, unless the payload's ``user_id`` is.

    Raises:
        TypeError: a field has no value, or ``payload`` a name that is not a field.
    """
    given = {field.name: payload.pop(field.name, None) for field in fields(event)}
    if payload:
        raise TypeError(f"{event.__name__} has no field {', '.join(payload)}.")
    values = {
        name: _default(event, name, done, at) if value is None else value for name, value in given.items()
    }
    body = func.json_build_object(
        *(part for field in fields(event) for part in (_text(field.name), _shown(field, values[field.name])))
    )
    keys = {name: values.get(name, null()) for name in _KEYS}
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
    inserted = insert(outbox).from_select([*written], rows).returning(outbox.c.position)
    return inserted.cte(f"recorded_{event.__name__.lower()}")


def _default(
    event: type[EventData], name: str, done: FromClause, at: ColumnElement[Any]
) -> ColumnElement[Any]:
    if name in done.c:
        return done.c[name]
    if not name.endswith("_at"):
        raise TypeError(f"{event.__name__} needs a value for {name}.")
    return at


def follows(earlier: CTE) -> ColumnElement[bool]:
    """A condition that makes an event's INSERT read the earlier event's CTE.

    So PostgreSQL runs it second, and its outbox position is higher.
    """
    return exists().select_from(earlier)


def names_of(**is_changed: ColumnElement[bool]) -> ColumnElement[Any]:
    """The array of the names whose condition is true."""
    return func.array_remove(
        array([case((condition, _text(name))) for name, condition in is_changed.items()]), null()
    )


def _shown(field: Field[Any], value: ColumnElement[Any]) -> ColumnElement[Any]:
    if field.type not in (datetime, datetime | None):
        return value
    # PostgreSQL writes a time to JSON in the session's time zone, and the session is the caller's.
    in_utc = func.to_json(func.timezone(_text("UTC"), value))
    return in_utc.op("#>>")(_text("{}")).op("||")(_text("+00:00"))


def _text(word: str) -> ColumnElement[str]:
    """A constant word, written into the statement so that it has fewer parameters."""
    return literal_column(f"'{word}'", String)
