"""The public way to migrate a database: `migrate`, `current_revision`."""

from hoc.database.migrations import NewerSchemaError, current_revision, migrate, migration_config

__all__ = ["NewerSchemaError", "current_revision", "migrate", "migration_config"]
