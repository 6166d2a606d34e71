"""The commands and their options, and the groups of commands, which are declared beside this module.

Each command imports its module when it runs, so `hoc --help` is quick.
"""

# ruff: noqa: PLC0415 - see above

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from hoc.cli.audit_commands import audit
from hoc.cli.erasure_commands import tenant, user
from hoc.cli.event_commands import events
from hoc.cli.options import DataDir, Json
from hoc.distribution import installed_version

app = typer.Typer(
    help="The accounts domain of a multi-tenant product: its server and tools.",
    epilog="All other settings are environment variables, HOC_…; the documentation lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Hooks = Annotated[
    str | None,
    typer.Option(metavar="MODULE:NAME", help="Dict of hooks by event type; by default HOC_HOOKS."),
]
Kind = Literal["csv", "jsonl"]
System = Literal["auth0", "clerk", "cognito", "keycloak"]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hoc {installed_version()}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before a command."""


@app.command("serve")
def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback, configure caller authentication.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 chooses a free one.")
    ] = 8201,
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Number of server processes.")] = 1,
    migrate: Annotated[
        bool, typer.Option("--migrate/--no-migrate", help="Migrate the database before serving.")
    ] = True,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Use the embedded PostgreSQL with caller authentication too.")
    ] = False,
    hooks: Hooks = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Create a demo tenant if there is none, and print a link to it.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Run the server. It starts its own PostgreSQL and NATS unless HOC_DATABASE_URL and HOC_NATS_URL are set.

    Without configured caller authentication it runs in development mode: it listens on loopback only, and
    accepts the tokens that `hoc demo` and `hoc token` print.
    """
    from hoc.cli.serve import serve as run
    from hoc.embedded import DataDirectory

    run(
        host=host,
        port=port,
        workers=workers,
        data=DataDirectory(data_dir),
        migrate=migrate,
        embedded=embedded,
        hooks=hooks,
        demo=demo,
    )


@app.command("relay")
def relay(*, data_dir: DataDir = None) -> None:
    """Publish events and handle those of others, without serving HTTP.

    Every server does this too. Any number of relays and servers share the work.
    """
    from hoc.cli.relay import relay as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir))


@app.command("migrate")
def migrate(*, data_dir: DataDir = None) -> None:
    """Migrate the database to this version's schema: HOC_DATABASE_URL, or the data directory's database."""
    from hoc.cli.migrate import migrate as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir))


@app.command("doctor")
def doctor(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Check settings, database, events, mail and NATS. Exit code 1 when something is wrong.

    Prints a line for each check; what is wrong has a line that says what to do.
    """
    from hoc.cli.doctor import examine, readable
    from hoc.embedded import DataDirectory

    findings = examine(DataDirectory(data_dir))
    typer.echo(json.dumps(findings, indent=2) if as_json else readable(findings))
    if any(finding["state"] == "wrong" for finding in findings):
        raise typer.Exit(1)


@app.command("grants")
def grants(
    *, role: Annotated[str, typer.Option(help="The database role of the servers; it migrates nothing.")]
) -> None:
    """Print the SQL that lets a role serve but not migrate. The tables' owner runs it after `hoc migrate`."""
    from hoc.cus.account.L6_drivers.grants import grants_script

    typer.echo(grants_script(role))


@app.command("backup")
def backup(
    *, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)], data_dir: DataDir = None
) -> None:
    """Write a consistent backup of all of hoc's data to FILE, while servers run."""
    from hoc.cli.backup import backup as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir), file)


@app.command("restore")
def restore(
    *, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)], data_dir: DataDir = None
) -> None:
    """Restore a backup into a database without hoc's schema, all or nothing, and migrate it."""
    from hoc.cli.backup import restore as run
    from hoc.embedded import DataDirectory

    run(DataDirectory(data_dir), file)


@app.command("info")
def info(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print the URLs of the running server, its database and its NATS. Exit code 1 when no server runs."""
    from hoc.cli.info import find, readable
    from hoc.embedded import DataDirectory

    found = find(DataDirectory(data_dir))
    typer.echo(json.dumps(found) if as_json else readable(found))
    if found["http"] is None:
        raise typer.Exit(1)


@app.command("demo")
def demo(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Create a new, realistic tenant. Print tokens for its owner, an admin, a member and a viewer."""
    from hoc.cli.demo import create, readable
    from hoc.embedded import DataDirectory

    data = DataDirectory(data_dir)
    tenant = create(data)
    typer.echo(json.dumps(tenant, indent=2) if as_json else readable(tenant, data))


@app.command("token")
def token(
    *,
    user_id: Annotated[str, typer.Option(help="The caller's user id.")],
    tenant_id: Annotated[str | None, typer.Option(help="The tenant that the calls are about.")] = None,
    email: Annotated[str | None, typer.Option(help="The caller's e-mail address.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="accounts:read, accounts:write, accounts:support or accounts:admin; repeatable."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a token that the server accepts in development mode. It expires after twelve hours."""
    from hoc.cli.development import issue_token
    from hoc.embedded import DataDirectory

    typer.echo(issue_token(DataDirectory(data_dir), user_id, tenant_id, email, scope or []))


@app.command("mailbox")
def mailbox(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Print the mails with links in the development mailbox, which takes the place of SMTP; oldest first."""
    from hoc.cli.development import read_mailbox, readable_mailbox
    from hoc.embedded import DataDirectory

    mails = read_mailbox(DataDirectory(data_dir))
    typer.echo(json.dumps(mails, indent=2, ensure_ascii=False) if as_json else readable_mailbox(mails))


@app.command("import")
def import_(
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV with a header, or JSON lines; - is standard input.")
    ],
    rejects: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Report the rejected rows in this file instead of on standard error."
        ),
    ] = None,
    system: Annotated[
        System | None,
        typer.Option("--from", help="The system that exported FILE; hoc's own columns without it."),
    ] = None,
    trust_verified: Annotated[
        bool,
        typer.Option(
            "--trust-verified", help="With --from: an address counts as verified if the export says so."
        ),
    ] = False,
    issuer: Annotated[
        str | None,
        typer.Option(help="With --from: link each user's id as a subject of this issuer, the system itself."),
    ] = None,
    links: Annotated[
        list[str] | None,
        typer.Option(
            "--link",
            metavar="PROVIDER=ISSUER",
            help="With --from: link the users' identities at a provider. Repeatable.",
        ),
    ] = None,
    memberships: Annotated[
        bool,
        typer.Option(
            "--memberships", help="FILE has memberships: the columns tenant_id, user_id and role, no others."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of each row, and store nothing.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Import accounts, or memberships, from a file with one per row, or from the export of another system.

    Required columns: user_id, email, name. Optional columns: is_active, preferences (JSON), created_at (ISO
    8601 with its time zone), email_verified, timezone, avatar_url. Exports: Auth0's JSON lines, Clerk's and
    Cognito's CSV, and the JSON of a Keycloak realm.

    An account whose user_id exists already is left unchanged, so a file can be imported again. A rejected row
    does not stop the import; the exit code is then 1. An import runs no hooks.
    """
    from hoc.bulk.exports import System as ExportingSystem
    from hoc.cli.bulk import export_options, import_file, import_membership_file
    from hoc.embedded import DataDirectory

    if system is None and (trust_verified or issuer or links):
        raise typer.BadParameter("--trust-verified, --issuer and --link are about an export: add --from.")
    if memberships and system is not None:
        raise typer.BadParameter("--memberships reads hoc's own columns: leave --from out.")
    if memberships:
        done = import_membership_file(DataDirectory(data_dir), file, rejects, dry_run=dry_run)
    else:
        done = import_file(
            DataDirectory(data_dir),
            file,
            rejects,
            system=None if system is None else ExportingSystem(system),
            options=export_options(trusts_verified=trust_verified, issuer=issuer, links=links or []),
            dry_run=dry_run,
        )
    if done.rejected:
        raise typer.Exit(1)


@app.command("export")
def export(
    *,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="File to write; standard output without one.")
    ] = "-",
    kind: Annotated[
        Kind | None, typer.Option("--format", show_default="by FILE's ending, else csv", help="File format.")
    ] = None,
    include_inactive: Annotated[
        bool, typer.Option("--include-inactive", help="Export deactivated and deleted accounts too.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Put no apostrophe before formulas in CSV; spreadsheets run them.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Export the accounts as of one moment, in the columns that `hoc import` takes."""
    from hoc.cli.bulk import export_file
    from hoc.embedded import DataDirectory

    export_file(DataDirectory(data_dir), file, kind, include_inactive=include_inactive, raw=raw)


app.add_typer(events, name="events")
app.add_typer(user, name="user")
app.add_typer(tenant, name="tenant")
app.add_typer(audit, name="audit")

citus = typer.Typer(help="Spread the tables over a Citus cluster.", no_args_is_help=True)
app.add_typer(citus, name="citus")


@citus.command("distribute")
def citus_distribute(*, data_dir: DataDir = None) -> None:
    """Place the tables on the cluster's nodes: tenants' rows by tenant, accounts on every node.

    Run it on the coordinator after `hoc migrate`. Run again, it places what a later version has added.
    """
    from hoc.cli.citus import distribute_tables
    from hoc.embedded import DataDirectory

    distribute_tables(DataDirectory(data_dir))
