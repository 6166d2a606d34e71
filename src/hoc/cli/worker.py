"""The application of each worker process of `hoc serve --workers`."""

import multiprocessing
import os
import signal
from threading import Thread
from typing import Final

from hoc.server import app

# The parent, which lets nobody in any more, may notice its signal half a second later than a worker.
QUEUE_SECONDS: Final = 1.0


def create_app() -> app.Service:
    """Return the application. Its process stops gracefully when the parent process has ended."""
    Thread(target=_follow_parent, daemon=True).start()
    service = app.create_app()
    service.stopping.queue_seconds = QUEUE_SECONDS
    return service


def _follow_parent() -> None:
    """Stop with the parent. Without this, the workers of a killed parent go on serving and keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
