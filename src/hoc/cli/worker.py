"""What each of several server processes runs."""

import multiprocessing
import os
import signal
from threading import Thread

from hoc import asgi


def create_app() -> asgi.Service:
    """Return the application, in a process that ends gracefully when the one that started it is gone."""
    Thread(target=_follow_parent, daemon=True).start()
    return asgi.create_app()


def _follow_parent() -> None:
    """Without this, workers of a parent that was killed would serve on, and keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
