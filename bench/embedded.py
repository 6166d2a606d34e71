"""A PostgreSQL of a benchmark's own, which is deleted after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hoc.embedded import DataDirectory, EmbeddedPostgres


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """Its URL."""
    with TemporaryDirectory(prefix="hoc-bench-") as place:
        Path(place).chmod(0o711)  # PostgreSQL does not run as root, and its own user must get in
        with EmbeddedPostgres(DataDirectory(Path(place))) as postgres:
            yield postgres.running_url() or ""
