"""A directory in which all worker processes of a server count together."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory


@contextmanager
def metrics_shared_by_workers() -> Generator[None]:
    """Make a scrape of any worker that is started in the block show what all of them counted."""
    with TemporaryDirectory(prefix="hoc-metrics-", ignore_cleanup_errors=True) as directory:
        # The client looks for it when a worker imports it; what an earlier server left would count on.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
