"""How much of a table a statement reads, by PostgreSQL's plan."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from sqlalchemy import ClauseElement, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from hoc.database import Database

TYPES = "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'one'"
RENDERED = re.compile(r"__\[POSTCOMPILE_(\w+)\]")
MODES = ["force_generic_plan", "force_custom_plan"]


async def blocks_read(
    database: Database, statement: Executable, values: Mapping[str, object], *, table: str, mode: str
) -> int:
    """The blocks of a table, its partitions and their indexes that the statement reads.

    ``mode`` is one of `MODES`.
    """
    compiled = _compiled(statement, database)
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
    if value is None:
        return "NULL"
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return "'" + text.replace("'", "''") + "'"


def _blocks(plan: dict[str, Any], table: str) -> int:
    name = plan.get("Relation Name", "")
    is_scan = (name == table or name.startswith(f"{table}_")) and "Scan" in plan["Node Type"]
    own = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] if is_scan else 0
    return own + sum(_blocks(below, table) for below in plan.get("Plans", []))


async def plans(
    database: Database, statements: Mapping[str, Executable], values: Mapping[str, str], *, mode: str
) -> dict[str, Any]:
    """The statements' plans by name. ``values`` are those of its parameters, by type."""
    found: dict[str, Any] = {}
    async with database.transaction() as session:
        driver: Any = (await session.get_raw_connection()).driver_connection
        await driver.execute(f"SET LOCAL plan_cache_mode = {mode}")
        for name, statement in statements.items():
            compiled = _compiled(statement, database)
            rendered = compiled.literal_execute_params | compiled.post_compile_params
            constants = [
                compiled.params[parameter]
                for parameter in compiled.positiontup or ()
                if compiled.binds[parameter] not in rendered
            ]
            text = RENDERED.sub(partial(_rendered, compiled), str(compiled))
            await driver.execute(f"PREPARE one AS {text}")
            kinds = await driver.fetchval(TYPES)
            given = [
                _literal(values[kind] if constant is None else constant)
                for kind, constant in zip(kinds, constants, strict=True)
            ]
            arguments = f"({', '.join(given)})" if given else ""
            [[plan]] = await driver.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE one{arguments}")
            await driver.execute("DEALLOCATE one")
            found[name] = plan[0]["Plan"]
    return found


def _rendered(compiled: SQLCompiler, name: re.Match[str]) -> str:
    constants = compiled.params.get(name[1])
    if isinstance(constants, list):
        return ", ".join(map(_literal, cast("list[object]", constants)))
    return "51" if "limit" in name[1] else "'active'"


def _compiled(statement: Executable, database: Database) -> SQLCompiler:
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=database.engine.dialect)
    assert isinstance(compiled, SQLCompiler)
    return compiled


def whole(plan: dict[str, Any], *, is_limited: bool = False) -> set[str]:
    """The tables that a plan reads from end to end. With a limit, an index in order is read in part."""
    node = plan["Node Type"]
    is_limited = is_limited or node == "Limit"
    is_part = {"Index Cond", "Recheck Cond"} & plan.keys() or (is_limited and "Index Name" in plan)
    tables: set[str] = set()
    if "Scan" in node and "Relation Name" in plan and not is_part:
        tables.add(plan["Relation Name"])
    return tables.union(*(whole(below, is_limited=is_limited) for below in plan.get("Plans", [])))
