"""Metrics of several worker processes."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory


@contextmanager
def metrics_shared_by_workers() -> Generator[None]:
    """Share the metrics of all workers that start in the block, so that each worker serves all of them."""
    with TemporaryDirectory(prefix="hoc-metrics-", ignore_cleanup_errors=True) as directory:
        # prometheus_client reads the variable at import. A new directory has no files of an earlier server.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
