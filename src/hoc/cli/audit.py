"""`hoc audit export`: the events as a file, for an archive, or before old ones are dropped."""

import asyncio
from datetime import datetime
from typing import Literal

import orjson
import typer

from hoc.bulk.exporting import STATEMENT_TIMEOUT_MS
from hoc.cli.bulk import writing
from hoc.cli.configuration import load_settings, require_target
from hoc.cli.errors import database_errors
from hoc.cli.progress import print_step
from hoc.cus.account.L6_drivers.audit_export import copy_events
from hoc.cus.account.L6_drivers.bulk_accounts import Output
from hoc.cus.account.wiring import open_database
from hoc.embedded import DataDirectory
from hoc.events.ocsf import ocsf_event


def export_events(
    data: DataDirectory,
    name: str,
    kind: Literal["jsonl", "ocsf"],
    *,
    tenant_id: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """Write events to a file, which appears once it is complete, or to standard output for `-`."""
    first, end = _time("--since", since), _time("--until", until)
    target = require_target(load_settings(), data)

    async def run(output: Output) -> int:
        database = open_database(
            target.url, pool_size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS, pooler=target.pooler
        )
        try:
            async with database.transaction() as session:
                return await copy_events(session, output, tenant_id=tenant_id, since=first, until=end)
        finally:
            await database.close()

    with writing(name) as output, database_errors(target.url):
        count = asyncio.run(run(output if kind == "jsonl" else _OcsfOutput(output)))
    print_step(f"{count:,} events exported")


class _OcsfOutput:
    """Takes JSON lines in pieces, and writes each event as OCSF has it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._rest = b""

    def write(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            event = ocsf_event(orjson.loads(line))
            self._output.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


def _time(option: str, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"{option} must be a time with its zone, such as 2026-03-14T00:00:00Z.")
    return time
