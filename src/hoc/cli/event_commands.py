"""`hoc events …`: the commands and their options."""

# ruff: noqa: PLC0415 - a command imports its module when it runs, so `hoc --help` is quick

import json
from typing import Annotated

import typer

from hoc.cli.options import DataDir, Json

events = typer.Typer(help="List and retry parked events, drop old ones, describe all.", no_args_is_help=True)


@events.command("parked")
def events_parked(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print the parked events, which NATS refused, and messages of others, whose handler failed each time."""
    from hoc.cli.events import parked, readable
    from hoc.embedded import DataDirectory

    items = parked(DataDirectory(data_dir))
    typer.echo(json.dumps(items, indent=2) if as_json else readable(items))


@events.command("retry")
def events_retry(
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids that `hoc events parked` prints.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Retry all that are parked.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Have the running relay retry parked events and messages."""
    from hoc.cli.events import retry
    from hoc.embedded import DataDirectory

    found = retry(DataDirectory(data_dir), ids or [], every=every)
    typer.echo(f"{len(found)} to be tried again.")


@events.command("prune")
def events_prune(
    *,
    keep_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="Days of events to keep. Only whole months are dropped.")
    ],
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Drop months with unpublished events too.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Drop the events, and with them the audit trail, of months that ended more than --keep-days days ago."""
    from hoc.cli.events import prune
    from hoc.embedded import DataDirectory

    dropped = prune(DataDirectory(data_dir), keep_days, unpublished=unpublished)
    typer.echo("\n".join(f"dropped {name}" for name in dropped) or "Nothing is that old.")


@events.command("asyncapi")
def events_asyncapi() -> None:
    """Print the AsyncAPI document of all events."""
    from hoc.events.asyncapi import asyncapi_document

    typer.echo(json.dumps(asyncapi_document(), indent=2))
