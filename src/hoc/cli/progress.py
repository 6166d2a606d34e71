"""Progress on standard error; results go to standard output."""

from contextlib import suppress

import typer


def print_step(step: str) -> None:
    with suppress(OSError):  # a command goes on when nobody reads its progress
        typer.echo(step, err=True)
