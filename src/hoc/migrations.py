"""The public way to migrate a database: `migrate` and `current_revision`."""

from hoc.database.migrations import current_revision, migrate, migration_config

__all__ = ["current_revision", "migrate", "migration_config"]
