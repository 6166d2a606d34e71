"""The speed of hoc, compared with a bare route, pgbench and its peers, with many accounts and under overload.

Run it from the root of the repository: `.venv/bin/python bench/speed/run.py --only profile`. Each row is
printed as soon as it is measured. All rows are kept in `bench/results/`.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import browsing
import directories
import ensuring
import flatness
import library
import mixed
import overload
import pages
import pooling
import reading
import replicas
import starting
import tenancy
from report import Report
from scene import Options, Scene

from hoc.embedded import DataDirectory, EmbeddedPostgres

PARTS: Final[dict[str, Callable[[Scene, Report], None]]] = {
    "profile": reading.measure,
    "ensure": ensuring.measure,
    "console": tenancy.measure,
    "pages": pages.measure,
    "scim": directories.measure,
    "mixed": mixed.measure,
    "peers": browsing.measure,
    "overload": overload.measure,
    "workers": starting.workers,
    "pooler": pooling.measure,
    "library": library.measure,
    "replica": replicas.measure,
    "start": starting.start,
    "flat": flatness.measure,  # the last, because it takes longest
}


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is stopped
    report = Report({"accounts": options.accounts, "seconds": options.seconds, "rounds": options.rounds})
    with _scratch() as place, _postgres(options.database_url, options.directory or place) as server_url:
        scene = Scene(place, server_url, Options(options.accounts, options.seconds, options.rounds))
        for name, measure in PARTS.items():
            if name in (options.only or PARTS):
                report.begin(name)
                measure(scene, report)
    print(f"\nWritten to {report.directory}")
    for row in report.short:
        print(f"short: {row.name}: {row.shown}, {row.goal}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part only; can be repeated")
    parser.add_argument("--accounts", type=int, default=10_000_000, help="accounts in the largest database")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds per side and round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts")
    parser.add_argument(
        "--directory",
        type=Path,
        help="directory in which to keep the databases, and reuse those of an earlier run",
    )
    parser.add_argument(
        "--database-url", help="PostgreSQL to use instead, with a role that may create databases"
    )
    return parser.parse_args()


@contextmanager
def _scratch() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoc-speed-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
        yield Path(name)


@contextmanager
def _postgres(url: str | None, directory: Path) -> Generator[str]:
    if url is not None:
        yield url
        return
    with EmbeddedPostgres(DataDirectory(directory / "postgres")) as postgres:
        yield postgres.running_url() or ""


if __name__ == "__main__":
    main()
