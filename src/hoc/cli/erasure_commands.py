"""`hoc user …` and `hoc tenant …`: the commands and their options."""

# ruff: noqa: PLC0415 - a command imports its module when it runs, so `hoc --help` is quick

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hoc.cli.options import DataDir

if TYPE_CHECKING:
    from hoc.cli.erasure import Erased

user = typer.Typer(help="Export and erase people, and list who was erased.", no_args_is_help=True)
tenant = typer.Typer(
    help="Export tenants, erase those that have ended, and list those.", no_args_is_help=True
)

Replay = Annotated[
    Path | None,
    typer.Option(dir_okay=False, metavar="FILE", help="Erase those in FILE, which `erased` printed."),
]


@user.command("export")
def user_export(
    *,
    user_id: Annotated[str, typer.Argument(help="The account's own id, and no subject.")],
    data_dir: DataDir = None,
) -> None:
    """Print all that is held about a person, as JSON."""
    from hoc.cli.erasure import exported
    from hoc.embedded import DataDirectory

    typer.echo(exported(DataDirectory(data_dir), user_id))


@user.command("erase")
def user_erase(
    *,
    user_id: Annotated[
        str | None, typer.Argument(metavar="[USER_ID]", help="The account's own id, and no subject.")
    ] = None,
    replay: Replay = None,
    data_dir: DataDir = None,
) -> None:
    """Erase all that is known of a person. It cannot be undone, and can be repeated. It runs no hooks.

    After a backup was restored, `--replay` erases again who was erased since it was made.
    """
    from hoc.cli.erasure import USERS

    _erase(USERS, user_id, replay, data_dir)


@user.command("erased")
def user_erased(*, data_dir: DataDir = None) -> None:
    """Print the ids of all who were erased, as JSON lines. Keep the list apart from the backups."""
    from hoc.cli.erasure import USERS

    _print_erased(USERS, data_dir)


@tenant.command("export")
def tenant_export(
    *,
    tenant_id: Annotated[str, typer.Argument()],
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="File to write; standard output without one.")
    ] = "-",
    data_dir: DataDir = None,
) -> None:
    """Write all that is held about a tenant, as JSON lines of one row each, as of one moment."""
    from hoc.cli.tenant_export import export_tenant
    from hoc.embedded import DataDirectory

    export_tenant(DataDirectory(data_dir), tenant_id, file)


@tenant.command("erase")
def tenant_erase(
    *,
    tenant_id: Annotated[str | None, typer.Argument(metavar="[TENANT_ID]")] = None,
    replay: Replay = None,
    data_dir: DataDir = None,
) -> None:
    """Erase all that a tenant has that is terminated or archived. It cannot be undone. It runs no hooks.

    After a backup was restored, `--replay` erases again what was erased since it was made.
    """
    from hoc.cli.erasure import TENANTS

    _erase(TENANTS, tenant_id, replay, data_dir)


@tenant.command("erased")
def tenant_erased(*, data_dir: DataDir = None) -> None:
    """Print the ids of all tenants that were erased, as JSON lines. Keep the list apart from the backups."""
    from hoc.cli.erasure import TENANTS

    _print_erased(TENANTS, data_dir)


def _erase(kind: "Erased", erased_id: str | None, replay: Path | None, data_dir: Path | None) -> None:
    from hoc.cli.erasure import erase, erase_again
    from hoc.embedded import DataDirectory

    if (erased_id is None) == (replay is None):
        raise typer.BadParameter("Give an id, or a file by --replay.")
    if replay is not None:
        erase_again(DataDirectory(data_dir), kind, replay)
    elif erased_id is not None:
        erase(DataDirectory(data_dir), kind, erased_id)


def _print_erased(kind: "Erased", data_dir: Path | None) -> None:
    from hoc.cli.erasure import listed
    from hoc.embedded import DataDirectory

    for each in listed(DataDirectory(data_dir), kind):
        typer.echo(json.dumps(each))
