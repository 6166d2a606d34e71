"""Progress on standard error; results go to standard output."""

import typer


def print_step(step: str) -> None:
    typer.echo(step, err=True)
