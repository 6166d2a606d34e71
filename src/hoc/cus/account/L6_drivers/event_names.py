"""What people call the accounts, invitations and tickets that a tenant's events name by id."""

from sqlalchemy import ColumnElement, String, Table, case, func, literal_column, select, true, union_all

from hoc.cus.account.L5_schemas.port_types import EventNames, NamedIds
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all
from hoc.cus.account.L6_drivers.fragments import TENANT, any_of, membership_of
from hoc.cus.account.L6_drivers.tables import invitations, support_tickets, users


def _kind(name: str) -> ColumnElement[str]:
    return literal_column(f"'{name}'", String).label("kind")


def _people() -> AnySelect:
    """An account without a name is called by its address, if it is a member's."""
    found = membership_of(TENANT, users.c.user_id)
    name = func.coalesce(users.c.name, case((found.c.user_id.is_not(None), users.c.email)))
    return (
        select(_kind("people"), users.c.user_id.label("id"), name.label("name"))
        .select_from(users.outerjoin(found, true()))
        .where(any_of(users.c.user_id, "people"))
    )


def _own(table: Table, kind: str, key: str, name: str) -> AnySelect:
    return select(_kind(kind), table.c[key].label("id"), table.c[name].label("name")).where(
        table.c.tenant_id == TENANT, any_of(table.c[key], kind)
    )


NAMES = union_all(
    _people(),
    _own(invitations, "invitations", "invitation_id", "email"),
    _own(support_tickets, "tickets", "ticket_id", "subject"),
)


async def names_of(session: SqlSession, tenant_id: str, ids: NamedIds) -> EventNames:
    named = EventNames({}, {}, {})
    rows = await fetch_all(
        session,
        NAMES,
        tenant_id=tenant_id,
        people=sorted(ids.people),
        invitations=sorted(ids.invitations),
        tickets=sorted(ids.tickets),
    )
    found = {"people": named.people, "invitations": named.invitations, "tickets": named.tickets}
    for row in rows:
        if row.name is not None:
            found[row.kind][row.id] = row.name
    return named
