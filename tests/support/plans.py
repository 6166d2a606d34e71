"""How much of a table a statement reads, by PostgreSQL's plan."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ClauseElement, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from hoc.database import Database

MODES = ["force_generic_plan", "force_custom_plan"]


async def blocks_read(
    database: Database, statement: Executable, values: Mapping[str, object], *, table: str, mode: str
) -> int:
    """The blocks of a table and its indexes that the statement reads. ``mode`` is one of `MODES`."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=database.engine.dialect)
    assert isinstance(compiled, SQLCompiler)
    values = {**compiled.params, **values}
    given = ", ".join(_literal(values[name]) for name in compiled.positiontup or ())
    async with database.transaction() as session:
        driver: Any = (await session.get_raw_connection()).driver_connection
        await driver.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await driver.execute(f"PREPARE one AS {compiled}")
        [[plan]] = await driver.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS) EXECUTE one({given})")
        await driver.execute("DEALLOCATE one")
        await session.rollback()
    return _blocks(plan[0]["Plan"], table)


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _blocks(plan: dict[str, Any], table: str) -> int:
    is_scan = plan.get("Relation Name") == table and "Scan" in plan["Node Type"]
    own = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] if is_scan else 0
    return own + sum(_blocks(below, table) for below in plan.get("Plans", []))
