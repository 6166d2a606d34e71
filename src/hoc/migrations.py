"""Migrations, as an API: to migrate a database, and to keep a host's own migrations apart from hoc's.

``users`` and ``tenants`` are the tables that a host's foreign keys may refer to.
"""

from hoc.cus.account.L6_drivers.tables import SCHEMA, tenants, users
from hoc.database.migrations import NewerSchemaError, current_revision, migrate, migration_config

__all__ = [
    "NewerSchemaError",
    "current_revision",
    "include_name",
    "migrate",
    "migration_config",
    "tenants",
    "users",
]


def include_name(name: str | None, type_: str, _parent_names: object = None) -> bool:
    """Whether a host's autogenerate may look at this: False for hoc's schema, and so for all in it.

    It is a hook of Alembic's, for ``context.configure(include_name=include_name)``. With
    ``include_schemas=True`` and without it, Alembic would drop hoc's tables, which are not in the host's
    metadata.
    """
    return type_ != "schema" or name != SCHEMA
