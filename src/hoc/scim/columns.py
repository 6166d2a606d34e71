"""Where a resource type's attributes are: columns, rows of another table, or among the compared values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from scim2_models import AttributeBinding, Group, Resource
from sqlalchemy import Column, ColumnElement, Table, literal

from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.scim_resources import Kind
from hoc.cus.account.L6_drivers.tables import scim_group_members, scim_groups, scim_users
from hoc.scim.user import EnterpriseUser, User

Attribute = tuple[str, str | None]
"""An attribute and its sub-attribute, by the names of scim2-models."""


@dataclass(frozen=True)
class Relation:
    """Values that are rows of `scim_group_members`: those whose ``key`` is the resource's id."""

    key: Column[Any]
    value: Column[Any]

    def rows_of(self, table: Table) -> ColumnElement[bool]:
        return (scim_group_members.c.tenant_id == TENANT) & (self.key == table.c.resource_id)


@dataclass(frozen=True)
class Columns:
    kind: Kind
    model: type[Resource[Any]]
    table: Table
    columns: Mapping[Attribute, ColumnElement[Any]]
    relations: Mapping[str, Relation]

    def of(self, binding: AttributeBinding) -> ColumnElement[Any] | None:
        if binding.model is not self.model and not issubclass(self.model, binding.model):
            return None  # an extension's
        return self.columns.get((binding.field_name, binding.sub_field_name))

    def relation_of(self, binding: AttributeBinding) -> Relation | None:
        return self.relations.get(binding.field_name)


def _meta(kind: str, table: Table) -> dict[Attribute, ColumnElement[Any]]:
    return {
        ("id", None): table.c.resource_id,
        ("external_id", None): table.c.external_id,
        ("meta", "resource_type"): literal(kind),
        ("meta", "created"): table.c.created_at,
        ("meta", "last_modified"): table.c.updated_at,
    }


USERS: Final = Columns(
    "User",
    User[EnterpriseUser],
    scim_users,
    {**_meta("User", scim_users), ("user_name", None): scim_users.c.user_name},
    {"groups": Relation(scim_group_members.c.member_id, scim_group_members.c.group_id)},
)
GROUPS: Final = Columns(
    "Group",
    Group,
    scim_groups,
    {**_meta("Group", scim_groups), ("display_name", None): scim_groups.c.display_name},
    {"members": Relation(scim_group_members.c.group_id, scim_group_members.c.member_id)},
)
