"""`hoc import` and `hoc export`."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hoc.bulk.account_rows import COLUMNS, REQUIRED
from hoc.bulk.exporting import export_accounts
from hoc.bulk.exports import ExportOptions, ExportRows, System
from hoc.bulk.files import FileError, Format, Rejection, Rows, file_format
from hoc.bulk.importing import ImportCounts, Source, import_accounts
from hoc.bulk.memberships import MEMBERSHIP_COLUMNS, import_memberships
from hoc.cli.configuration import Target, load_settings, running_target
from hoc.cli.errors import CommandError, OutputError, database_errors
from hoc.cli.migrate import migrate_database
from hoc.cli.output import opened, whole_file
from hoc.cli.progress import print_step
from hoc.embedded import DataDirectory, EmbeddedPostgres

STANDARD_STREAM: Final = "-"


Importing: TypeAlias = Callable[..., Awaitable[ImportCounts]]


def import_file(
    data: DataDirectory,
    name: str,
    rejects: Path | None,
    *,
    system: System | None = None,
    options: ExportOptions | None = None,
    dry_run: bool = False,
) -> ImportCounts:
    """Import accounts from a file, or standard input for `-`.

    The file is an export of ``system``, which ``options`` are about, or has hoc's columns.

    Raises CommandError when the file or the database cannot be read.
    """
    importing = partial(import_accounts, special_use=load_settings().special_use_domains)
    with _reading(name) as file:
        if system is None:
            rows = Rows(file, name, required=REQUIRED, known=COLUMNS)
            return _import(data, name, file, rows, importing, rejects=rejects, dry_run=dry_run)
        exported = ExportRows(file, system, options or ExportOptions())
        done = _import(data, name, file, exported, importing, rejects=rejects, dry_run=dry_run)
    if exported.left_out:
        named = ", ".join(f"{provider} ({count:,})" for provider, count in sorted(exported.left_out.items()))
        print_step(f"Identities not linked, because no --link names their issuer: {named}")
    return done


def import_membership_file(
    data: DataDirectory, name: str, rejects: Path | None, *, dry_run: bool = False
) -> ImportCounts:
    """Import memberships from a file, or standard input for `-`. Raises CommandError as `import_file`."""
    with _reading(name) as file:
        rows = Rows(file, name, required=MEMBERSHIP_COLUMNS, known=MEMBERSHIP_COLUMNS)
        return _import(data, name, file, rows, import_memberships, rejects=rejects, dry_run=dry_run)


def _import(
    data: DataDirectory,
    name: str,
    file: BufferedReader,
    rows: Source,
    importing: Importing,
    *,
    rejects: Path | None,
    dry_run: bool,
) -> ImportCounts:
    with ExitStack() as stack:
        console = Console(stderr=True)
        report = stack.enter_context(_report(console, rejects))
        target = stack.enter_context(_database(data))
        progress = stack.enter_context(_progress(console))
        task = progress.add_task("Importing", total=_size(file))
        stack.enter_context(database_errors(target.url))
        started = time.monotonic()

        def advance(at: int) -> None:
            progress.update(task, completed=at)

        async def run() -> ImportCounts:
            return await importing(
                target.url,
                rows,
                report=report,
                progress=advance,
                pooler=target.pooler,
                tell=typer.echo if dry_run else None,
            )

        try:
            done = asyncio.run(run())
        except (FileError, OSError) as problem:
            if isinstance(problem, OSError) and problem.filename != name:
                raise  # it comes from the database
            raise CommandError(f"{name}: {problem}") from problem
    typer.echo(_summary(done, time.monotonic() - started, dry_run=dry_run))
    return done


def export_options(*, trusts_verified: bool, issuer: str | None, links: list[str]) -> ExportOptions:
    """What the command line says about an export. CommandError for a link that is none, or a wrong issuer."""
    parted = [link.partition("=") for link in links]
    if wrong := next((link for link, parts in zip(links, parted, strict=True) if not all(parts)), None):
        raise CommandError(
            f"--link {wrong}: write PROVIDER=ISSUER, such as google=https://accounts.google.com."
        )
    by_provider = {provider: issuer_of for provider, _, issuer_of in parted}
    primary = load_settings().primary_issuer_or_default
    named = {issuer, *by_provider.values()} - {None}
    if named and primary is None:
        raise CommandError(
            "Set HOC_PRIMARY_ISSUER first: without it, hoc cannot tell one issuer from another."
        )
    if primary in named:
        raise CommandError(f"{primary} is the primary issuer, whose subjects are user ids: leave it out.")
    return ExportOptions(trusts_verified, issuer, by_provider)


def export_file(
    data: DataDirectory, name: str, wanted: str | None, *, include_inactive: bool, raw: bool
) -> None:
    """Export to a file, or to standard output for `-`. The file appears once it is complete."""
    kind = Format(wanted) if wanted else file_format(name) or Format.CSV
    with ExitStack() as stack:
        target = stack.enter_context(_database(data))
        output = stack.enter_context(writing(name))
        stack.enter_context(database_errors(target.url))
        started = time.monotonic()
        count = asyncio.run(
            export_accounts(
                target.url,
                output,
                format=kind,
                include_inactive=include_inactive,
                raw=raw,
                pooler=target.pooler,
            )
        )
    seconds = time.monotonic() - started
    print_step(f"{count:,} exported in {seconds:.1f} s ({_rate(count, seconds)})")


def _summary(done: ImportCounts, seconds: float, *, dry_run: bool) -> str:
    rows = done.imported + done.already_there + done.rejected
    imported, rejected = ("would be imported", "would be rejected") if dry_run else ("imported", "rejected")
    return (
        f"{done.imported:,} {imported}, {done.already_there:,} already there, {done.rejected:,} {rejected}"
        f" in {seconds:.1f} s ({_rate(rows, seconds)})"
    )


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:,.0f} rows/s"


@contextmanager
def _database(data: DataDirectory) -> Generator[Target]:
    """Give the configured or running database, else start the embedded one for the block."""
    target = running_target(load_settings(), data)
    if target is not None:
        yield target
        return
    with EmbeddedPostgres(data, print_step) as postgres:
        target = Target(postgres.start())
        migrate_database(target)
        yield target


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
        yield lambda rejection: _print(console, str(rejection))
        return
    with TextIOWrapper(opened(rejects), encoding="utf-8") as file:
        yield lambda rejection: print(rejection, file=file)


def _print(console: Console, line: str) -> None:
    try:
        console.out(line, highlight=False)
    except OSError as problem:
        raise OutputError(f"standard error cannot be written: {problem.strerror}.") from problem


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
def writing(name: str) -> Generator[BinaryIO]:
    """A file, or standard output for `-`. The file appears once the block has ended without an error."""
    if name == STANDARD_STREAM:
        if sys.stdout is None:
            raise CommandError("standard output is closed.")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(Path(name)) as file:
        yield file
