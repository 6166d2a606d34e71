"""The parent of the worker processes of `hoc serve --workers`."""

import socket
import time
from collections.abc import Callable
from typing import Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from hoc.server.stopping import let_nobody_in

_POLL_SECONDS: Final = 0.05


class Supervisor(Multiprocess):
    """uvicorn's, which also sees to it that a stop loses no connection.

    Each worker stops as its `hoc.server.stopping.Stopping` says, also when it alone is replaced. They share
    the listening socket; so only their parent may close it to new clients, when all of them stop.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        drain_seconds: float,
        on_begin: Callable[[], None],
    ) -> None:
        super().__init__(config, [listener])
        self._listener = listener
        self._drain_seconds = drain_seconds
        self._on_begin = on_begin

    def terminate_all(self) -> None:
        """Have the workers stop, and let nobody in any more when their drain time is over."""
        end = time.monotonic() + self._drain_seconds
        self._on_begin()
        super().terminate_all()
        while time.monotonic() < end and any(process.process.is_alive() for process in self.processes):
            time.sleep(_POLL_SECONDS)
        let_nobody_in(self._listener)
