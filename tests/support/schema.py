"""The objects of a database's schema ``account``, as PostgreSQL describes them."""

import re

import asyncpg

# Made for the months around now, not by a migration.
_PARTITION = re.compile(r"events_\d{4}_\d{2}")

_OBJECTS = """
SELECT 'table ' || c.relname || ': ' || coalesce(obj_description(c.oid), '')
  FROM pg_class c WHERE c.relnamespace = 'account'::regnamespace AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ' not null ' ELSE ' ' END
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
       || ': ' || coalesce(col_description(c.oid, a.attnum), '')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'account'::regnamespace AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'constraint ' || r.conrelid::regclass || ' ' || r.conname || ' ' || pg_get_constraintdef(r.oid)
  FROM pg_constraint r WHERE r.connamespace = 'account'::regnamespace
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'account'
UNION ALL
SELECT 'function ' || pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'account'::regnamespace
"""


async def schema_objects(database_url: str) -> set[str]:
    """A line for every table, column, constraint, index and function; empty without the schema."""
    connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("SELECT to_regnamespace('account')") is None:
            return set()
        objects: set[str] = {row[0] for row in await connection.fetch(_OBJECTS)}
        return {line for line in objects if "alembic_version" not in line and not _PARTITION.search(line)}
    finally:
        await connection.close()
