"""Taking an erased person's, or an erased tenant's, texts out of past events. All else of an event stays."""

from collections import defaultdict
from typing import Any, Final

from sqlalchemy import JSON, ColumnElement, String, Table, Text, case, cast, literal_column, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array
from sqlalchemy.sql.dml import ReturningUpdate

from hoc.cus.account.L5_schemas.events import EVENTS, Blanked, blanked_fields
from hoc.cus.account.L6_drivers.event_sequencing import CREATE_CURSOR, SEQUENCED
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.fragments import TENANT, USER
from hoc.cus.account.L6_drivers.invitation_sending import INVITATION
from hoc.cus.account.L6_drivers.tables import event_cursors, events, outbox

HOLD_SEQUENCING = select(event_cursors.c.sequence).where(event_cursors.c.name == SEQUENCED).with_for_update()

_NO_FIELD: Final = cast(array([], type_=Text), ARRAY(Text))


def _blank(table: Table, which: ColumnElement[bool], *when: Blanked) -> ReturningUpdate[Any]:
    """Takes the texts that these erasures blank out of events, unless they are gone already."""
    types: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, event in EVENTS.items():
        types[blanked_fields(event, *when)].append(name)
    blanked = case(
        *(
            (table.c.type.in_([_word(name) for name in names]), array([_word(field) for field in fields]))
            for fields, names in types.items()
            if fields
        ),
        else_=_NO_FIELD,
    )
    payload = cast(table.c.payload, JSONB)
    return (
        update(table)
        .where(which, payload.op("?|")(blanked))
        .values(payload=cast(payload.op("-", return_type=JSONB())(blanked), JSON))
        .returning(table.c.event_id)
    )


def _word(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'", String)


def _is_of_invitation(table: Table) -> ColumnElement[bool]:
    # Not a parameter: it is the expression of an index.
    of_event = literal_column(f"({table.fullname}.payload ->> 'invitation_id')", Text)
    return (table.c.tenant_id == TENANT) & (of_event == INVITATION)


# The outbox first, so that what a relay has just moved out of it is found by the second statement.
_TABLES: Final = (outbox, events)
BLANK_OF_USER = {table.name: _blank(table, table.c.user_id == USER, Blanked.WITH_PERSON) for table in _TABLES}
BLANK_OF_INVITATION = {
    table.name: _blank(table, _is_of_invitation(table), Blanked.WITH_PERSON) for table in _TABLES
}
BLANK_OF_TENANT = {table.name: _blank(table, table.c.tenant_id == TENANT) for table in _TABLES}


async def hold_sequencing(session: SqlSession) -> None:
    """Have no event numbered, and so moved from one table to the other, until the transaction ends."""
    await fetch_one(session, CREATE_CURSOR, name=SEQUENCED)
    await fetch_one(session, HOLD_SEQUENCING)


async def blank_events_of_user(session: SqlSession, user_id: str) -> None:
    for statement in BLANK_OF_USER.values():
        await fetch_all(session, statement, user_id=user_id)


async def blank_events_of_invitation(session: SqlSession, tenant_id: str, invitation_id: str) -> None:
    for statement in BLANK_OF_INVITATION.values():
        await fetch_all(session, statement, tenant_id=tenant_id, invitation_id=invitation_id)


async def blank_events_of_tenant(session: SqlSession, tenant_id: str) -> None:
    for statement in BLANK_OF_TENANT.values():
        await fetch_all(session, statement, tenant_id=tenant_id)
