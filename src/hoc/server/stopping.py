"""Stopping without losing a request: first nobody is sent here any more, then nobody new is let in.

A signal reaches the server (uvicorn) only when both are done. The server then closes its listening socket,
finishes the requests that it has, and ends.
"""

import asyncio
import logging
import signal
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from ctypes import addressof, create_string_buffer
from functools import partial
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, Final

STATE: Final = "hoc.stopping"
"""The key of a server's `Stopping` in the ASGI state."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SO_ATTACH_FILTER: Final = 26
# Programs of the kernel's packet filter: load the byte of TCP's flags, and drop the segment if SYN is set.
_WITHOUT_SYN: Final = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))

_log = logging.getLogger("hoc.server")


def let_nobody_in(listener: socket.socket) -> None:
    """Have a listening socket, in whichever processes, take no new handshakes, but finish those under way.

    A connection that is complete and not accepted is reset when its socket is closed. With this there is none
    left then, because nobody comes after the last one that is accepted. Without Linux, this does nothing.
    """
    program = create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _WITHOUT_SYN))
    with suppress(OSError):
        filter_ = struct.pack("HL", len(_WITHOUT_SYN), addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


class Stopping:
    """Delays SIGTERM and SIGINT. SIGINT has no drain time, and ends that of SIGTERM.

    Args:
        drain_seconds: from SIGTERM until nobody is let in. Until then, the server is not ready, but serves.
    """

    def __init__(self, drain_seconds: float) -> None:
        self.is_begun = False
        self.listener: socket.socket | None = None
        """The listening socket, where no other process listens on it."""
        self.queue_seconds = 0.3
        """From then on, how long connections that are begun may take to be complete and accepted."""
        self.on_begin: Callable[[], None] = lambda: None
        self._drain_seconds = drain_seconds
        self._is_closing = False
        self._draining: asyncio.TimerHandle | None = None

    @contextmanager
    def following_signals(self) -> Generator[None]:
        """Delay the signals of the running server during the block, if it handles any."""
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        if current_thread() is not main_thread() or not all(map(callable, handlers.values())):
            yield
            return
        loop = asyncio.get_running_loop()

        def delay(number: int, frame: FrameType | None) -> None:
            self.is_begun = True
            handler: Any = handlers[signal.Signals(number)]
            loop.call_soon_threadsafe(self._signalled, number, partial(handler, number, frame))

        for number in _SIGNALS:
            signal.signal(number, delay)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, end: Callable[[], None]) -> None:
        """``end`` passes the signal on to the server."""
        hurries = number == signal.SIGINT
        if self._is_closing:
            if hurries:
                end()
        elif self._draining is None:
            self.on_begin()
            self._drain(0 if hurries else self._drain_seconds, end)
        elif hurries:
            self._draining.cancel()
            self._close(end)

    def _drain(self, seconds: float, end: Callable[[], None]) -> None:
        if seconds:
            _log.info("stopping: not ready any more, but serving for %g seconds", seconds)
        self._draining = asyncio.get_running_loop().call_later(seconds, self._close, end)

    def _close(self, end: Callable[[], None]) -> None:
        self._is_closing = True
        if self.listener is not None:
            let_nobody_in(self.listener)
        asyncio.get_running_loop().call_later(self.queue_seconds, end)
