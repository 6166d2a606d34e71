"""The resources of tenants' directories. Those who write a tenant's come one after the other."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    Table,
    Text,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.tables import scim_counts, scim_group_members, scim_groups, scim_users

Kind = Literal["User", "Group"]

RESOURCE_ID = param("resource_id", String)
MEMBERS = param("members", ARRAY(String))

LOCK_DIRECTORY = select(
    func.pg_advisory_xact_lock(
        literal_column(str(int(AdvisoryLock.DIRECTORY)), Integer), func.hashtext(TENANT)
    )
)
COUNT = select(scim_counts.c.resources).where(
    scim_counts.c.tenant_id == TENANT, scim_counts.c.kind == param("kind", String)
)


@dataclass(frozen=True)
class Values:
    """What is stored of a resource. ``name`` is its userName or displayName, folded."""

    name: str
    external_id: str | None
    resource: dict[str, Any]
    compared: dict[str, Any]
    is_active: bool = True


@dataclass(frozen=True)
class Member:
    id: str
    type: str | None
    display: str | None


@dataclass(frozen=True)
class Related:
    """The resources on the other side of a group's members, as JSON in the form of SCIM."""

    table: Table
    own_key: str
    other_key: str
    path: str
    display: ColumnElement[Any]
    type: ColumnElement[Any]

    def of(self, resource: Any) -> ColumnElement[Any]:  # noqa: ANN401 - a table or a subquery with its id
        other = self.table.c
        links = scim_group_members.c
        value = func.jsonb_build_object(
            _word("value"), links[self.other_key],
            _word("$ref"), _word(self.path).op("||")(other.resource_id),
            _word("display"), self.display,
            _word("type"), self.type,
        )  # fmt: skip
        return (
            select(func.jsonb_agg(func.jsonb_strip_nulls(value)))
            .select_from(
                scim_group_members.outerjoin(
                    self.table, (other.tenant_id == TENANT) & (other.resource_id == links[self.other_key])
                )
            )
            .where(links.tenant_id == TENANT, links[self.own_key] == resource.c.resource_id)
            .scalar_subquery()
        )


def _word(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'", Text)


def _given(name: str, table: Table) -> ColumnElement[Any]:
    return table.c.resource.op("->>")(_word(name))


GROUPS_OF_USER: Final = Related(
    scim_groups,
    "member_id",
    "group_id",
    "Groups/",
    _given("displayName", scim_groups),
    _word("direct"),
)
MEMBERS_OF_GROUP: Final = Related(
    scim_users,
    "group_id",
    "member_id",
    "Users/",
    func.coalesce(
        scim_group_members.c.display, _given("displayName", scim_users), _given("userName", scim_users)
    ),
    scim_group_members.c.type,
)


def _own_values(kind: Kind) -> dict[str, ColumnElement[Any]]:
    name = "user_name" if kind == "User" else "display_name"
    values: dict[str, ColumnElement[Any]] = {
        name: param("name", Text),
        "external_id": param("external_id", Text),
        "resource": param("resource", JSONB),
        "compared": param("compared", JSONB),
    }
    return values | ({"is_active": param("is_active", Boolean)} if kind == "User" else {})


def _counted(kind: Kind, changed: Any, step: int) -> Any:  # noqa: ANN401 - SQLAlchemy's CTE types do not compose
    number = literal(step)
    return (
        insert(scim_counts)
        .from_select(
            ["tenant_id", "kind", "resources"], select(TENANT, _word(kind), number).select_from(changed)
        )
        .on_conflict_do_update(
            index_elements=list(scim_counts.primary_key), set_={"resources": scim_counts.c.resources + number}
        )
        .cte("counted")
    )


class Statements:
    """The statements on the rows of one kind."""

    def __init__(self, kind: Kind, table: Table, related: Related) -> None:
        self.table = table
        this = (table.c.tenant_id == TENANT) & (table.c.resource_id == RESOURCE_ID)
        bare = select(
            table.c.resource_id, table.c.resource, table.c.version, table.c.created_at, table.c.updated_at
        )
        self.bare = bare.where(this)
        self.whole = bare.add_columns(related.of(table).label("related")).where(this)
        values = _own_values(kind)
        inserted = (
            insert(table)
            .values(tenant_id=TENANT, resource_id=RESOURCE_ID, created_at=NOW, updated_at=NOW, **values)
            .on_conflict_do_nothing()
            .returning(table.c.resource_id)
            .cte("inserted")
        )
        self.insert = select(inserted.c.resource_id).add_cte(_counted(kind, inserted, 1))
        self.update = (
            update(table)
            .where(this)
            .values(version=table.c.version + 1, updated_at=NOW, **values)
            .returning(table.c.version)
        )
        self.delete = self._delete(kind, table, this)

    def _delete(self, kind: Kind, table: Table, this: ColumnElement[bool]) -> AnySelect:
        links = scim_group_members.c
        own_key = links.member_id if kind == "User" else links.group_id
        unlinked = (
            delete(scim_group_members)
            .where(links.tenant_id == TENANT, own_key == RESOURCE_ID)
            .returning(links.group_id)
            .cte("unlinked")
        )
        deleted = delete(table).where(this).returning(table.c.resource_id).cte("deleted")
        counted = (
            update(scim_counts)
            .where(scim_counts.c.tenant_id == TENANT, scim_counts.c.kind == _word(kind))
            .where(select(deleted.c.resource_id).exists())
            .values(resources=scim_counts.c.resources - 1)
            .cte("counted")
        )
        statement = select(deleted.c.resource_id).add_cte(unlinked, counted)
        if kind == "Group":
            return statement
        groups = (
            update(scim_groups)
            .where(scim_groups.c.tenant_id == TENANT, scim_groups.c.resource_id == unlinked.c.group_id)
            .values(version=scim_groups.c.version + 1, updated_at=NOW)
            .cte("groups")
        )
        return statement.add_cte(groups)


USERS: Final = Statements("User", scim_users, GROUPS_OF_USER)
GROUPS: Final = Statements("Group", scim_groups, MEMBERS_OF_GROUP)
OF_KIND: Final = {"User": USERS, "Group": GROUPS}

IS_TAKEN = select(scim_users.c.resource_id).where(
    scim_users.c.tenant_id == TENANT,
    scim_users.c.user_name == param("name", Text),
    scim_users.c.resource_id != RESOURCE_ID,
)


def _set_members() -> AnySelect:
    """Give a group these members and no others. Returns those that were not as given."""
    links = scim_group_members.c
    removed = (
        delete(scim_group_members)
        .where(links.tenant_id == TENANT, links.group_id == RESOURCE_ID, links.member_id != func.all(MEMBERS))
        .returning(links.member_id)
        .cte("removed")
    )
    given = (
        func.unnest(MEMBERS, param("types", ARRAY(Text)), param("displays", ARRAY(Text)))
        .table_valued("member_id", "type", "display")
        .render_derived("given")
    )
    put = insert(scim_group_members).from_select(
        ["tenant_id", "group_id", "member_id", "type", "display"], select(TENANT, RESOURCE_ID, *given.c)
    )
    added = (
        put.on_conflict_do_update(
            index_elements=list(scim_group_members.primary_key),
            set_={"type": put.excluded.type, "display": put.excluded.display},
            where=links.type.is_distinct_from(put.excluded.type)
            | links.display.is_distinct_from(put.excluded.display),
        )
        .returning(links.member_id)
        .cte("added")
    )
    changed = select(removed.c.member_id).union_all(select(added.c.member_id)).subquery("changed")
    return select(changed.c.member_id)


SET_MEMBERS = _set_members()


@dataclass(frozen=True, slots=True)
class Key:
    kind: Kind
    tenant_id: str
    resource_id: str

    @property
    def columns(self) -> dict[str, str]:
        return {"tenant_id": self.tenant_id, "resource_id": self.resource_id}


class SqlScimResources:
    async def find(self, session: SqlSession, key: Key, *, related: bool) -> AnyRow | None:
        """The row of a resource, with ``related``, the JSON of its groups or members, if that is wanted."""
        statements = OF_KIND[key.kind]
        return await fetch_one(session, statements.whole if related else statements.bare, **key.columns)

    async def insert(self, session: SqlSession, key: Key, values: Values, now: datetime) -> bool:
        """False: another user of the tenant has the name."""
        statement = OF_KIND[key.kind].insert
        return await fetch_one(session, statement, **_columns(key, values, now)) is not None

    async def update(self, session: SqlSession, key: Key, values: Values, now: datetime) -> bool:
        """False: another user of the tenant has the name."""
        if key.kind == "User" and await fetch_one(session, IS_TAKEN, **key.columns, name=values.name):
            return False
        await fetch_one(session, OF_KIND[key.kind].update, **_columns(key, values, now))
        return True

    async def delete(self, session: SqlSession, key: Key, now: datetime) -> None:
        given = {"now": now} if key.kind == "User" else {}
        await fetch_one(session, OF_KIND[key.kind].delete, **key.columns, **given)

    async def set_members(self, session: SqlSession, group: Key, members: Collection[Member]) -> list[str]:
        """Give a group these members. Returns the ids of those that it did not have, or has no more."""
        rows = await fetch_all(
            session,
            SET_MEMBERS,
            **group.columns,
            members=[member.id for member in members],
            types=[member.type for member in members],
            displays=[member.display for member in members],
        )
        return [row.member_id for row in rows]


def _columns(key: Key, values: Values, now: datetime) -> dict[str, Any]:
    columns = {
        **key.columns,
        "now": now,
        "name": values.name,
        "external_id": values.external_id,
        "resource": values.resource,
        "compared": values.compared,
    }
    return columns | ({"is_active": values.is_active} if key.kind == "User" else {})
