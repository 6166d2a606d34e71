"""`hoc audit …`: the commands and their options."""

# ruff: noqa: PLC0415 - a command imports its module when it runs, so `hoc --help` is quick

from typing import Annotated, Literal

import typer

from hoc.cli.options import DataDir

Kind = Literal["jsonl", "ocsf"]

audit = typer.Typer(help="Export the audit trail.", no_args_is_help=True)


@audit.command("export")
def audit_export(
    *,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="File to write; standard output without one.")
    ] = "-",
    kind: Annotated[
        Kind, typer.Option("--format", help="hoc's own fields, or those of OCSF for a SIEM.")
    ] = "jsonl",
    tenant_id: Annotated[str | None, typer.Option(help="Only this tenant's events.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events at or after this time, with its zone.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events before this time, with its zone.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write numbered events as JSON lines, all by their sequence, or one tenant's by their time."""
    from hoc.cli.audit import export_events
    from hoc.embedded import DataDirectory

    export_events(DataDirectory(data_dir), file, kind, tenant_id=tenant_id, since=since, until=until)
