"""The base class of the embedded services."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from hoc.embedded.data_directory import DataDirectory


class EmbeddedServiceError(RuntimeError):
    """An embedded service cannot be set up, started or stopped. The message says why and what to do."""


class EmbeddedService(ABC):
    """A server of its own on a loopback port, with its data in a data directory.

    As a context manager it runs during the block.

    Args:
        data_directory: where its files are.
        progress: called with one line before each step.
    """

    def __init__(
        self, data_directory: DataDirectory, progress: Callable[[str], None] = lambda _step: None
    ) -> None:
        self._data = data_directory
        self._progress = progress
        self._held: ExitStack | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, hold the data directory's lock, return the server's URL, password included.

        A server that outlived its owner is taken over, or restarted if it does not answer. A second call
        restarts a server that died, at the same URL. It blocks, on the first start for seconds. Keep the
        object: its end releases the lock.

        Raises:
            DataDirectoryInUseError: another server uses this data directory.
            DataDirectoryError: the data directory cannot be written.
            EmbeddedServiceError: the server is not installed, or cannot be set up or started.
        """
        if self._held is not None:
            return self._bring_up()
        with ExitStack() as held:
            held.enter_context(self._data.lock())
            url = self._bring_up()
            self._held = held.pop_all()
        return url

    def stop(self) -> None:
        """Stop the server that `start` started or took over, and release the data directory's lock."""
        held, self._held = self._held, None
        if held is not None:
            with held:
                self._shut_down()

    @abstractmethod
    def is_running(self) -> bool:
        """Whether the server runs on this data directory, also when another process started it."""

    @abstractmethod
    def running_url(self) -> str | None:
        """Return the URL of the server that runs on this data directory, or None."""

    @abstractmethod
    def _bring_up(self) -> str: ...

    @abstractmethod
    def _shut_down(self) -> None: ...


def free_port() -> int:
    """Return a TCP port that is free on the loopback interface at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        _, port = probe.getsockname()
    return int(port)
