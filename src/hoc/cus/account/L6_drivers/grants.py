"""What a role needs that serves and does not migrate."""

from sqlalchemy import text

from hoc.cus.account.L6_drivers.tables import SCHEMA, metadata

_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def grants_script(role: str) -> str:
    """The SQL that the tables' owner runs after a migration. It also holds for tables of later ones."""
    rights = ", ".join(_RIGHTS)
    to = 'TO "' + role.replace('"', '""') + '"'
    from_ = to.replace("TO ", "FROM ", 1)
    return "\n".join(
        (
            f"GRANT USAGE ON SCHEMA {SCHEMA} {to};",
            f"GRANT {rights} ON ALL TABLES IN SCHEMA {SCHEMA} {to};",
            # PostgreSQL asks nobody for the sequence of an identity, but Citus calls nextval.
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} {to};",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} {to};",
            f"REVOKE INSERT, UPDATE, DELETE ON {SCHEMA}.alembic_version {from_};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT {rights} ON TABLES {to};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT USAGE ON SEQUENCES {to};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT EXECUTE ON FUNCTIONS {to};",
        )
    )


MISSING_GRANTS = text(
    "SELECT t.name || ' ' || r.privilege AS missing FROM unnest(CAST(:tables AS text[])) AS t (name)"
    " CROSS JOIN unnest(CAST(:rights AS text[])) AS r (privilege)"
    " WHERE NOT has_table_privilege(t.name, r.privilege) ORDER BY 1"
).bindparams(tables=[table.fullname for table in metadata.sorted_tables], rights=list(_RIGHTS))
"""The privileges on tables that the current role lacks. Fails if a table is missing."""
