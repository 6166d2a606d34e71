"""Functions of PostgreSQL, each with one of hoc's statements, for poolers that keep no prepared statements.

PostgreSQL parses and plans a statement's text with each execution. A statement in a function it plans once on
each of its connections, and the plan serves whoever calls the function there.
"""

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import text

if TYPE_CHECKING:  # only the type has parameters
    from asyncpg.prepared_stmt import PreparedStatement

_LOCK: Final = 7_463_124  # the first of two numbers; `AdvisoryLock` has hoc's others

# Citus would send functions to all nodes, and plan their statements by other rules.
MAY_MAKE: Final = """
    SELECT has_schema_privilege(to_regnamespace('account'), 'CREATE') AND NOT pg_is_in_recovery()
        AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"""

MISSING_RIGHT: Final = text(
    "SELECT format('GRANT CREATE ON SCHEMA account TO %I', current_user)"
    " WHERE NOT has_schema_privilege(to_regnamespace('account'), 'CREATE')"
)
"""The statement that lets the role make functions, if it may not."""

DROP_FUNCTIONS: Final = text("""
    DO $$
    DECLARE
        function regprocedure;
    BEGIN
        FOR function IN
            SELECT pg_proc.oid FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
            WHERE nspname = 'account' AND starts_with(proname, 'statement_')
                AND (pg_has_role(proowner, 'USAGE') OR pg_has_role(nspowner, 'USAGE'))
        LOOP
            EXECUTE format('DROP FUNCTION %s', function);
        END LOOP;
    END $$""")
"""Leaves those that the role may not drop: harmless, as a function is called for its own statement only."""

# Only the role's own: a function does what its owner wrote, with the rights of its caller.
_IS_MADE: Final = """
    SELECT EXISTS (
        SELECT FROM pg_proc
        WHERE pronamespace = to_regnamespace('account') AND proname = $1
            AND pg_get_userbyid(proowner) = current_user
    )"""


async def make_function(
    connection: asyncpg.Connection, query: str, statement: "PreparedStatement[Any]"
) -> str | None:
    """Make the function of a described statement unless it is there, and return the text that calls it.

    None if the role may not make it, or if the statement does not fit into one: it has no columns, two of
    the same name, or types that are not PostgreSQL's own. The connection must not be in a transaction.
    """
    if not _fits(statement):
        return None
    parameters = [parameter.name for parameter in statement.get_parameters()]
    columns = [f'"{column.name}" {column.type.name}' for column in statement.get_attributes()]
    signature = f"({', '.join(parameters)}) RETURNS TABLE ({', '.join(columns)})"
    name = f"statement_{sha256(f'{signature} {query}'.encode()).hexdigest()[:32]}"
    if not await connection.fetchval(_IS_MADE, name):
        if not await connection.fetchval(MAY_MAKE):
            return None
        await connection.execute(_definition(name, signature, query))
    given = ", ".join(f"${number}" for number in range(1, len(parameters) + 1))
    return f"SELECT * FROM account.{name}({given})"  # noqa: S608 - of its own names


def _fits(statement: "PreparedStatement[Any]") -> bool:
    columns = statement.get_attributes()
    types = [*statement.get_parameters(), *(column.type for column in columns)]
    return 0 < len({column.name for column in columns}) == len(columns) and all(
        each.schema == "pg_catalog" and each.kind in {"scalar", "array"} for each in types
    )


def _definition(name: str, signature: str, query: str) -> str:
    """In one transaction. Two processes that make it at once make the same, one after the other."""
    return f"""
        SELECT pg_advisory_xact_lock({_LOCK}, hashtext('{name}'));
        CREATE OR REPLACE FUNCTION account.{name}{signature} LANGUAGE plpgsql AS ${name}$
        #variable_conflict use_column
        BEGIN
            RETURN QUERY {query}
            ;
        END ${name}$"""
