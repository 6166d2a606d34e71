"""The commands and their options. What they do is imported when they run, so that `hoc --help` is quick."""

# ruff: noqa: PLC0415 - imports in the functions are what this module is for, see above

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="The accounts domain of a multi-tenant product: a server, and what goes with it.",
    epilog="Every other setting is an environment variable, HOC_…; the documentation lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="HOC_DATA_DIR",
        file_okay=False,
        show_default="the user's data directory",
        help="Where keys, development mail and the embedded PostgreSQL and NATS are kept.",
    ),
]
Kind = Literal["csv", "jsonl"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hoc {version('hoc')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


@app.command("serve")
def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback, configure who calls.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8201,
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Server processes.")] = 1,
    data_dir: DataDir = None,
) -> None:
    """Run the server, with a PostgreSQL and a NATS of its own, unless HOC_DATABASE_URL, HOC_NATS_URL are set.

    Without caller authentication configured it serves in development mode: on loopback only, with tokens that
    `hoc demo` and `hoc token` print.
    """
    from hoc.cli.serve import serve as run
    from hoc.embedded import DataDirectory

    run(host=host, port=port, workers=workers, data=DataDirectory(data_dir))


@app.command("relay")
def relay(*, data_dir: DataDir = None) -> None:
    """Publish events and handle those of others, without serving: beside a server, or where none runs.

    Every server does so too; any number share the work.
    """
    from hoc.cli.relay import relay as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir))


@app.command("migrate")
def migrate(*, data_dir: DataDir = None) -> None:
    """Bring the database to this version's schema: HOC_DATABASE_URL's, or the data directory's own."""
    from hoc.cli.migrate import migrate as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir))


@app.command("info")
def info(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print where the running server, its database and its NATS are; exit code 1 when no server runs."""
    from hoc.cli.info import find, readable
    from hoc.embedded import DataDirectory

    found = find(DataDirectory(data_dir))
    typer.echo(json.dumps(found) if as_json else readable(found))
    if found["http"] is None:
        raise typer.Exit(1)


@app.command("demo")
def demo(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Create a new, realistic tenant and print tokens for its owner, an admin, a member and a viewer."""
    from hoc.cli.demo import create, readable
    from hoc.embedded import DataDirectory

    data = DataDirectory(data_dir)
    tenant = create(data)
    typer.echo(json.dumps(tenant, indent=2) if as_json else readable(tenant, data))


@app.command("token")
def token(
    *,
    user_id: Annotated[str, typer.Option(help="Who calls.")],
    tenant_id: Annotated[str | None, typer.Option(help="The tenant the calls are about.")] = None,
    email: Annotated[str | None, typer.Option(help="The caller's e-mail address.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="accounts:read, accounts:write or accounts:admin; repeat it for several."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a token that the server accepts in development mode, for twelve hours."""
    from hoc.cli.development import issue_token
    from hoc.embedded import DataDirectory

    typer.echo(issue_token(DataDirectory(data_dir), user_id, tenant_id, email, scope or []))


@app.command("mailbox")
def mailbox(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print the invitation mails that were delivered in place of SMTP, oldest first."""
    from hoc.cli.development import read_mailbox, readable_mailbox
    from hoc.embedded import DataDirectory

    mails = read_mailbox(DataDirectory(data_dir))
    typer.echo(json.dumps(mails, indent=2, ensure_ascii=False) if as_json else readable_mailbox(mails))


@app.command("import")
def import_(
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV with a header, or JSON lines; - for standard input.")
    ],
    rejects: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Write rejected rows' lines and reasons here, not to the terminal."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Import accounts from a file of one a row.

    The columns are user_id, email, name, and if you like is_active, preferences (JSON), created_at (ISO 8601
    with its zone), email_verified, timezone and avatar_url.

    An account whose user_id is there already is left unchanged, so that a file can be imported again. Exit
    code 1 when a row was rejected; all others are imported even then.
    """
    from hoc.cli.transfer import import_file
    from hoc.embedded import DataDirectory

    if import_file(DataDirectory(data_dir), file, rejects).rejected:
        raise typer.Exit(1)


@app.command("export")
def export(
    *,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to; standard output if left out.")
    ] = "-",
    kind: Annotated[
        Kind | None, typer.Option("--format", show_default="by FILE's ending, else csv", help="How.")
    ] = None,
    include_inactive: Annotated[
        bool, typer.Option("--include-inactive", help="Deactivated and deleted accounts, too.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Export accounts as they are at one moment, in the columns that `hoc import` takes."""
    from hoc.cli.transfer import export_file
    from hoc.embedded import DataDirectory

    export_file(DataDirectory(data_dir), file, kind, include_inactive=include_inactive)


events = typer.Typer(
    help="See after events: what is parked, what is old, what there is.", no_args_is_help=True
)
app.add_typer(events, name="events")


@events.command("parked")
def events_parked(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print events that NATS refuses, and messages of others whose handler failed to the last."""
    from hoc.cli.events import parked, readable
    from hoc.embedded import DataDirectory

    items = parked(DataDirectory(data_dir))
    typer.echo(json.dumps(items, indent=2) if as_json else readable(items))


@events.command("retry")
def events_retry(
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `hoc events parked` prints them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that is parked.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Have what is parked tried again, by the relay that runs."""
    from hoc.cli.events import retry
    from hoc.embedded import DataDirectory

    found = retry(DataDirectory(data_dir), ids or [], every=every)
    typer.echo(f"{len(found)} to be tried again.")


@events.command("prune")
def events_prune(
    *,
    keep_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="Days to keep; whole months are dropped.")
    ],
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Even months with events that are not published yet.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Drop the events, and with them the audit trail, of months that ended longer ago."""
    from hoc.cli.events import prune
    from hoc.embedded import DataDirectory

    dropped = prune(DataDirectory(data_dir), keep_days, unpublished=unpublished)
    typer.echo("\n".join(f"dropped {name}" for name in dropped) or "Nothing is that old.")


@events.command("asyncapi")
def events_asyncapi() -> None:
    """Print the AsyncAPI document of all events."""
    from hoc.events.asyncapi import asyncapi_document

    typer.echo(json.dumps(asyncapi_document(), indent=2))
