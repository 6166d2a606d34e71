"""HTTP/1.1 for `hoc serve`: uvicorn's protocol on httptools, with bounds on what a client may send.

It relies on these internals of uvicorn's `HttpToolsProtocol`, which a test names too:

- the parser's callbacks are `on_message_begin`, `on_url`, `on_header`, `on_headers_complete`, `on_body` and
  `on_message_complete`; an exception in one of them ends in `send_400_response`;
- `on_message_begin` creates `headers` and `scope`, `on_header` appends to `headers`, and
  `on_headers_complete` creates `cycle`, or queues it in `pipeline` while an earlier request is answered;
- `connections` are all protocols of the process, and `timeout_keep_alive_task` is the timer of an idle one;
- `shutdown` closes the connection once its requests are answered;
- a `cycle` says in its answer that the connection is closed, and closes it, if `keep_alive` is false.
"""

from asyncio import BaseTransport, Protocol, TimerHandle, Transport
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from math import inf
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hoc.cus.account.L2_api.authentication import TRAILERS_DISCARDED
from hoc.server.refusals import MALFORMED, Refusal, answer_to
from hoc.server.stopping import STATE, Stopping
from hoc.telemetry.metrics import REQUESTS_REFUSED

_LINGER_BYTES: Final = 2**20  # that a refused client may still send
_FIELD_OVERHEAD: Final = 4  # of bytes: the colon, a space and the line's end


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send. ``head_bytes`` bounds the header block, and what follows a body (trailers).

    Args:
        head_seconds: until the header block is complete, from the connection or the block's first byte.
        body_seconds: until the body is complete, from the header block's end.
        connections: of one process. A further one takes the place of the one that has waited longest for its
            client, and is refused only when all others are being answered.
        pipelined: requests of a connection that wait for an earlier one.
        linger_seconds: how long a refused connection stays open to let its client read the refusal, and one
            on which nothing was asked, when the server stops, to let its client's request arrive.
    """

    head_bytes: int = 65_536
    fields: int = 100
    url_bytes: int = 16_384
    head_seconds: float = 10
    body_seconds: float = 30
    connections: int = 1_000
    pipelined: int = 32
    linger_seconds: float = 1


def bounded_by(limits: Limits) -> type[Protocol]:
    """The protocol with these limits, for ``uvicorn.Config(http=…)``. It can be pickled, for workers."""
    return cast("type[Protocol]", partial(BoundedProtocol, limits=limits))


class _Refused(Exception):  # noqa: N818 - it only carries a refusal out of the parser
    pass


class _Part(Enum):
    """The part of a request that is being received."""

    HEAD = auto()
    BODY = auto()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It refuses with a problem document, counts the refusal, and closes.

    Fields after the header block (trailers) are discarded: uvicorn appends them to the request's headers.
    It serves no WebSockets.
    """

    def __init__(self, *args: Any, limits: Limits = Limits(), **arguments: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **arguments)
        self.ws_protocol_class = None
        self._limits = limits
        self._max_fields = limits.fields  # once for each field
        self._timer: TimerHandle | None = None
        self._timer_seconds = 0.0
        self._part: _Part | None = None
        self._read = 0  # bytes of the latest read
        self._pending = 0  # bytes of earlier reads that the parser has not completed to anything
        self._refusal: Refusal | None = None
        self._is_refused = False
        self._stopping: Stopping | None = self.app_state.get(STATE)
        self._is_ending = False  # the latest request is the last one

    # The transport's calls

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))
        if len(self.connections) > self._limits.connections:
            self._make_room()
        if not self._is_refused:
            self._start_timer(self._limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes what uvicorn's never returns
        """Whether to keep the connection: its client has stopped sending, and may wait for its answers."""
        if self._is_refused:
            return False
        if self._part is not None:
            self._refuse(MALFORMED)
            return True
        if self._is_answering():
            self._end_with_latest(None)
            return True
        return False

    def data_received(self, data: bytes) -> None:
        self._read = len(data)
        self._pending += self._read
        if self._is_refused:
            if self._pending > _LINGER_BYTES:
                self.transport.close()
            return
        super().data_received(data)
        if self._part is not None or not self._is_answering():
            self._bound_the_rest()

    # The parser's calls

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            self._raise(
                Refusal(
                    "pipelined",
                    503,
                    code="unavailable",
                    detail=f"More than {self._limits.pipelined} requests wait on this connection.",
                )
            )
        self._part = _Part.HEAD
        super().on_message_begin()
        self.scope["extensions"] = {TRAILERS_DISCARDED: {}}

    def on_url(self, url: bytes) -> None:
        self.url: bytes = self.url + url
        if len(self.url) > self._limits.url_bytes:
            self._raise(
                Refusal(
                    "url",
                    414,
                    code="uri_too_long",
                    detail=f"The URL must not exceed {self._limits.url_bytes} bytes.",
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == self._max_fields:
            self._raise(self._headers_too_large())
        # As uvicorn does it. Calling it would cost more than all the rest of this class.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._read > self._limits.head_bytes and self._head_size() > self._limits.head_bytes:
            self._raise(self._headers_too_large())
        self._part = _Part.BODY
        self._pending = 0
        if self._timer is not None:
            self._stop_timer()
        earlier = self.cycle
        super().on_headers_complete()
        if self._is_ending or (self._stopping is not None and self._stopping.is_begun):
            self._end_with_latest(earlier)
        self.headers = []  # what the parser still appends is no header of the request

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = None
        self._pending = 0
        if self._timer is not None:
            self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        self._refuse(self._refusal or MALFORMED)

    # Ending

    def shutdown(self) -> None:
        """Close the connection once its requests are answered, also one that is on its way."""
        self._is_ending = True
        if self._is_answering():
            if self._part is not _Part.HEAD or self._is_refused:
                super().shutdown()
        elif self._part is None and not self._is_refused:
            self.loop.call_later(self._limits.linger_seconds, self._close_unused)

    def _close_unused(self) -> None:
        if self._part is None and not self._is_answering():
            self.transport.close()

    def _end_with_latest(self, earlier: RequestResponseCycle | None) -> None:
        """Have the latest request's answer, and not that of an ``earlier`` one, end the connection."""
        self._is_ending = True
        if earlier is not None and not earlier.response_started:
            earlier.keep_alive = True
        self.cycle.keep_alive = False

    # Bounds

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in self.headers)

    def _headers_too_large(self) -> Refusal:
        return Refusal(
            "headers",
            431,
            code="headers_too_large",
            detail=f"The header block must not exceed {self._limits.head_bytes} bytes and"
            f" {self._limits.fields} fields.",
        )

    def _bound_the_rest(self) -> None:
        """Bound the size and the time of what the client has yet to send."""
        if self._is_refused or self.transport.is_closing():
            return
        if self._pending > self._limits.head_bytes:
            self._refuse(self._headers_too_large())
        elif self._timer is None:
            is_body = self._part is _Part.BODY
            seconds = self._limits.body_seconds if is_body else self._limits.head_seconds
            self._start_timer(seconds)

    def _time_out(self) -> None:
        self._timer = None
        if self._part is _Part.BODY:
            reason, detail = "slow_body", f"The body was not complete within {self._limits.body_seconds:g} s."
        else:
            reason = "slow_head"
            detail = f"The header block was not complete within {self._limits.head_seconds:g} s."
        self._end(Refusal(reason, 408, code="request_timeout", detail=detail), lingers=True)

    def _make_room(self) -> None:
        """End the connection that has waited longest for its client, this one if none waits."""
        connections = cast("set[BoundedProtocol]", self.connections)
        chosen = min(connections, key=BoundedProtocol.waits_since)
        if chosen.waits_since() == inf:
            chosen = self
        chosen._end(
            Refusal(
                "connections",
                503,
                code="unavailable",
                detail="The server has too many connections. Nothing was changed. Try again in a moment.",
            ),
            lingers=False,
        )

    def waits_since(self) -> float:
        """The loop's time since which this connection waits for its client; infinite while it is served."""
        if self._timer is not None:
            return self._timer.when() - self._timer_seconds
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return inf

    def _start_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._time_out)
        self._timer_seconds = seconds

    def _is_answering(self) -> bool:
        """Whether the latest request whose header block is complete is not yet answered."""
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Refusing

    def _raise(self, refusal: Refusal) -> None:
        """End parsing; uvicorn then calls `send_400_response`."""
        self._refusal = refusal
        raise _Refused

    def _end(self, refusal: Refusal, *, lingers: bool) -> None:
        """Refuse the request that is being received; close the connection if there is none."""
        if self._part is None or self._is_refused:
            self.transport.close()
        else:
            self._refuse(refusal, lingers=lingers)

    def _refuse(self, refusal: Refusal, *, lingers: bool = True) -> None:
        """Answer the request that is being received, and close. Earlier requests are answered first."""
        REQUESTS_REFUSED.labels(refusal.reason).inc()
        self._is_refused = True
        self._stop_timer()
        cycle = self.cycle
        if self._part is _Part.BODY:
            is_next = not self.pipeline and not cycle.response_started
            if not cycle.response_complete:  # the application waits for the body: tell it that none will come
                cycle.disconnected = True
                cycle.message_event.set()
        else:
            is_next = not self._is_answering()
            if not is_next:
                self.shutdown()
                return
        if is_next:
            self.transport.write(answer_to(refusal, self.server_state.default_headers))
            if lingers and self.transport.can_write_eof():
                # Closing while the client still sends would reset the connection before it reads the answer.
                self.transport.write_eof()
                self._timer = self.loop.call_later(self._limits.linger_seconds, self.transport.close)
                return
        self.transport.close()
