"""A row as JSON, as whom it is about may see it."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Table, Text, cast, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array

SECRETS: Final = ("token_hash", "request_hash", "response", "key", "secret", "previous_secret")
"""Also the keys of ``Idempotency-Key``, and the answers that are stored for them."""
COMPARED: Final = ("email_key", "name_key", "searched", "compared", "group_key")
"""What finds and compares is the same again."""

_LEFT_OUT = cast(array([literal_column(f"'{name}'", Text) for name in SECRETS + COMPARED]), ARRAY(Text))


def shown(table: Table) -> ColumnElement[Any]:
    """The row of a table as JSON, without `SECRETS` and what is `COMPARED`."""
    row = func.to_jsonb(literal_column(table.name), type_=JSONB)
    return row.op("-", return_type=JSONB())(_LEFT_OUT)
