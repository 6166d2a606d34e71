"""`hoc import` and `hoc export`."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hoc.cli.migrate import migrate_database, say
from hoc.cli.problems import CommandError, database_problems
from hoc.cli.running import load_settings, running_database
from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.transfer import (
    FileError,
    Imported,
    Rejection,
    export_accounts,
    file_format,
    import_accounts,
)
from hoc.transfer.files import Format

STANDARD_STREAM: Final = "-"


def import_file(data: DataDirectory, name: str, rejects: Path | None) -> Imported:
    """Import a file, `-` being the standard input; CommandError when it or the database cannot be read."""
    with ExitStack() as held:
        file = held.enter_context(_reading(name))
        console = Console(stderr=True)
        report = held.enter_context(_report(console, rejects))
        url = held.enter_context(_database(data))
        progress = held.enter_context(_progress(console))
        task = progress.add_task("Importing", total=_size(file))
        held.enter_context(database_problems(url))
        started = time.monotonic()
        try:
            done = asyncio.run(
                import_accounts(
                    url, file, name, report=report, progress=lambda at: progress.update(task, completed=at)
                )
            )
        except (FileError, OSError) as problem:
            if isinstance(problem, OSError) and problem.filename != name:
                raise  # the database's, not the file's
            raise CommandError(f"{name}: {problem}") from problem
    typer.echo(_summary(done, time.monotonic() - started))
    return done


def export_file(data: DataDirectory, name: str, wanted: str | None, *, include_inactive: bool) -> None:
    """Export to a file, which is complete or not there, or, for `-`, to the standard output."""
    kind = Format(wanted) if wanted else file_format(name) or Format.CSV
    with ExitStack() as held:
        url = held.enter_context(_database(data))
        output = held.enter_context(_writing(name))
        held.enter_context(database_problems(url))
        started = time.monotonic()
        count = asyncio.run(export_accounts(url, output, format=kind, include_inactive=include_inactive))
    seconds = time.monotonic() - started
    say(f"{count:,} exported in {seconds:.1f} s ({_rate(count, seconds)})")


def _summary(done: Imported, seconds: float) -> str:
    rows = done.imported + done.already_there + done.rejected
    return (
        f"{done.imported:,} imported, {done.already_there:,} already there, {done.rejected:,} rejected"
        f" in {seconds:.1f} s ({_rate(rows, seconds)})"
    )


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:,.0f} rows/s"


@contextmanager
def _database(data: DataDirectory) -> Generator[str]:
    """HOC_DATABASE_URL or the running server's database; else the embedded one, started for this."""
    url = running_database(load_settings(), data)
    if url is not None:
        yield url
        return
    with EmbeddedPostgres(data, say) as postgres:
        url = postgres.start()
        migrate_database(url)
        yield url


def _reading(name: str) -> "BufferedReader | nullcontext[BufferedReader]":
    if name == STANDARD_STREAM:
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))
    try:
        return Path(name).open("rb")
    except OSError as problem:
        raise CommandError(f"{name} cannot be read ({problem.strerror}).") from problem


def _size(file: BufferedReader) -> int | None:
    return os.fstat(file.fileno()).st_size or None


@contextmanager
def _report(console: Console, rejects: Path | None) -> Generator[Callable[[Rejection], None]]:
    if rejects is None:
        yield lambda rejection: console.out(_line(rejection), highlight=False)
        return
    try:
        file = rejects.open("w", encoding="utf-8")
    except OSError as problem:
        raise CommandError(f"{rejects} cannot be written ({problem.strerror}).") from problem
    with file:
        yield lambda rejection: print(_line(rejection), file=file)


def _line(rejection: Rejection) -> str:
    return f"line {rejection.line}: {rejection.reason}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def _writing(name: str) -> Generator[BinaryIO]:
    if name == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    place = Path(name)
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        # Addresses and names are their owners' business: nobody else on this machine may read them.
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - of a descriptor
            yield file
        unfinished.replace(place)
    except OSError as problem:
        if problem.filename is None:
            raise  # the database's, not the file's
        raise CommandError(f"{name} cannot be written ({problem.strerror}).") from problem
    finally:
        unfinished.unlink(missing_ok=True)
