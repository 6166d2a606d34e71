"""Run PostgreSQL and print its URL, until standard input is closed because the starting process has ended."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from hoc.embedded import DataDirectory, EmbeddedPostgres
from hoc.embedded.postgres_files import prepare
from hoc.embedded.unprivileged import service_directory

_SETTINGS: Final = {
    # A worker keeps its pools for the whole run (65 connections), and its tests start servers of their own.
    "max_connections": "800",
    # Tests do not survive a power cut, so they need not wait for the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}

# Only a superuser creates roles, and the running server admits none. `hoc` may act as this one.
_APPLICATION_ROLE: Final = "CREATE ROLE hoc_application\nGRANT hoc_application TO hoc\n"

# Not below pytest's tmp_path, which the user that runs PostgreSQL for root cannot enter.
with tempfile.TemporaryDirectory(prefix="hoc-test-", ignore_cleanup_errors=True) as name:
    Path(name).chmod(0o711)
    data = DataDirectory(Path(name) / "data")
    with data.lock():
        files = prepare(
            service_directory(data.path, "postgres"),
            password=data.secret("postgres-password"),
            progress=lambda _step: None,
        )
        files.run("postgres", "--single", "-D", files.cluster, "postgres", stdin=_APPLICATION_ROLE)
    with EmbeddedPostgres(data, settings=_SETTINGS) as postgres:
        sys.stdout.write(f"{postgres.running_url()}\n")
        sys.stdout.flush()
        sys.stdin.read()
