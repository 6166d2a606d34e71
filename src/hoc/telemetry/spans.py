"""Spans that follow OpenTelemetry's conventions. Without a configured SDK there are none.

A span gets an exception's type and not its text, which may quote personal data.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Receive, Scope, Send

from hoc.telemetry.requests import OTHER_METHOD, UNMATCHED, Observer, known_method

_SERVER_ERROR: Final = 500

_tracer = trace.get_tracer("hoc")


def traced(app: ASGIApp) -> ASGIApp:
    """Middleware that creates a span for each request, in the trace that its headers name."""
    if not _has_sdk():
        return app

    async def spanned(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        method = known_method(scope["method"])
        with _span(
            _name(method),
            SpanKind.SERVER,
            {"http.request.method": method},
            propagate.extract(scope["headers"], getter=_HEADERS),
        ):
            await app(scope, receive, send)

    return spanned


def route_describer() -> Callable[[str, str], None] | None:
    """A function that names a request's span by its route, None without a configured SDK.

    For mounted applications: the span is the one that the host's instrumentation has begun.
    """
    return _describe_route if _has_sdk() else None


def _describe_route(method: str, route: str) -> None:
    span = trace.get_current_span()
    if span.is_recording() and getattr(span, "kind", None) is SpanKind.SERVER:
        span.update_name(f"{_name(known_method(method))} {route}")
        span.set_attribute("http.route", route)


def request_describer() -> Observer | None:
    """A function that completes a request's span at the request's end, None without a configured SDK."""
    return _describe_request if _has_sdk() else None


def _has_sdk() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _describe_request(method: str, route: str, status: int, _seconds: float) -> None:
    span = trace.get_current_span()
    if not span.is_recording():
        return
    if route != UNMATCHED:
        span.update_name(f"{_name(method)} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)


@contextmanager
def publish_span(subject: str, headers: dict[str, str]) -> Generator[None]:
    """A span for publishing a message. Puts its context into the headers, for receivers to continue."""
    with _span(f"publish {subject}", SpanKind.PRODUCER, _messaging(subject, "publish", "send")):
        propagate.inject(headers)
        yield


@contextmanager
def process_span(subject: str, headers: Mapping[str, str] | None) -> Generator[None]:
    """A span for processing a message, in the trace that its headers name."""
    parent = propagate.extract(headers or {})
    with _span(f"process {subject}", SpanKind.CONSUMER, _messaging(subject, "process", "process"), parent):
        yield


@contextmanager
def _span(
    name: str, kind: SpanKind, attributes: Mapping[str, str], parent: Context | None = None
) -> Generator[None]:
    with _tracer.start_as_current_span(
        name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as problem:
            span.set_attribute("error.type", type(problem).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise


def _messaging(subject: str, operation: str, kind: str) -> dict[str, str]:
    return {
        "messaging.system": "nats",
        "messaging.destination.name": subject,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }


def _name(method: str) -> str:
    return "HTTP" if method == OTHER_METHOD else method


class _Headers(Getter[list[tuple[bytes, bytes]]]):
    def get(self, carrier: list[tuple[bytes, bytes]], key: str) -> list[str] | None:
        wanted = key.encode()
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: list[tuple[bytes, bytes]]) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS: Final = _Headers()
