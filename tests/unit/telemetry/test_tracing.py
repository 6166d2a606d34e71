"""Spans, as OpenTelemetry's SDK receives them."""

import subprocess
import sys
from collections.abc import Sequence

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from hoc.cus.account.wiring import open_database
from hoc.telemetry import spans
from hoc.telemetry.requests import ObservedRequests
from hoc.telemetry.service import MetricsEndpoint, observed
from hoc.telemetry.tracing import process_span, publish_span, traced

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
CANARY = "canary@example.com"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """An SDK for this test only. The API itself can be configured only once per process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("hoc"))
    return exporter


async def answer(_request: Request) -> Response:
    return Response()


async def fail(_request: Request) -> Response:
    raise ValueError(CANARY)


async def request(method: str, path: str, **headers: str) -> None:
    routes = [Mount("/accounts", routes=[Route("/users/{user_id}", answer), Route("/broken", fail)])]
    metrics = MetricsEndpoint(open_database("postgresql://127.0.0.1/unused"))
    app = observed(Starlette(routes=routes), routes, metrics, log_requests=False)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as http:
        await http.request(method, path, headers=headers)


def only(finished: Sequence[ReadableSpan]) -> ReadableSpan:
    [span] = finished
    return span


async def test_a_requests_span_is_named_by_its_route(exporter: InMemorySpanExporter) -> None:
    await request("GET", f"/accounts/users/{CANARY}?email={CANARY}")
    span = only(exporter.get_finished_spans())
    assert (span.name, span.kind) == ("GET /accounts/users/{user_id}", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/accounts/users/{user_id}",
        "http.response.status_code": 200,
    }
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET


async def test_a_request_continues_its_callers_trace(exporter: InMemorySpanExporter) -> None:
    await request("GET", "/accounts/users/u1", traceparent=TRACEPARENT)
    span = only(exporter.get_finished_spans())
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert span.context is not None
    assert span.context.trace_id == span.parent.trace_id


@pytest.mark.parametrize("traceparent", ["", "x", TRACEPARENT + "-more" * 100, "00-" + "0" * 32 + "-1-01"])
async def test_an_invalid_traceparent_begins_a_trace(
    exporter: InMemorySpanExporter, traceparent: str
) -> None:
    await request("GET", "/accounts/users/u1", traceparent=traceparent)
    assert only(exporter.get_finished_spans()).parent is None


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/nothing/u1", "GET", 404),
        ("INVENTED", "/nothing", "HTTP", 404),
        ("INVENTED", "/accounts/users/u1", "HTTP /accounts/users/{user_id}", 405),
    ],
)
async def test_span_names_come_from_a_bounded_set(
    exporter: InMemorySpanExporter, method: str, path: str, name: str, status: int
) -> None:
    await request(method, path)
    span = only(exporter.get_finished_spans())
    attributes = span.attributes or {}
    assert (span.name, attributes["http.response.status_code"]) == (name, status)
    assert ("http.route" in attributes) == ("/accounts" in name)


async def test_a_failed_request_is_an_error_without_its_text(exporter: InMemorySpanExporter) -> None:
    await request("GET", "/accounts/broken")
    span = only(exporter.get_finished_spans())
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert (span.attributes or {})["http.response.status_code"] == 500
    assert CANARY not in span.to_json()


def test_processing_continues_the_publishers_trace(exporter: InMemorySpanExporter) -> None:
    headers = {"Nats-Msg-Id": "1"}
    with publish_span("accounts.user.created", headers):
        assert headers["traceparent"]
    with process_span("accounts.user.created", headers):
        pass
    published, processed = exporter.get_finished_spans()
    assert (published.name, published.kind) == ("publish accounts.user.created", SpanKind.PRODUCER)
    assert (processed.name, processed.kind) == ("process accounts.user.created", SpanKind.CONSUMER)
    assert processed.parent is not None
    assert published.context is not None
    assert processed.parent.span_id == published.context.span_id
    assert processed.parent.trace_id == published.context.trace_id
    assert dict(published.attributes or {}) == {
        "messaging.system": "nats",
        "messaging.destination.name": "accounts.user.created",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
    }
    assert headers["Nats-Msg-Id"] == "1"


def test_a_message_without_headers_begins_a_trace(exporter: InMemorySpanExporter) -> None:
    with process_span("accounts.user.created", None):
        pass
    assert only(exporter.get_finished_spans()).parent is None


def test_failed_processing_is_an_error_without_its_text(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match=CANARY), process_span("accounts.user.created", {}):
        raise ValueError(CANARY)
    span = only(exporter.get_finished_spans())
    assert span.status.status_code is StatusCode.ERROR
    assert CANARY not in span.to_json()


async def test_without_an_sdk_a_request_creates_no_span() -> None:
    """Nor does it set the API's context, which costs more than all that hoc measures."""
    seen: list[trace.Span] = []

    def look(*_: object) -> None:
        seen.append(trace.get_current_span())

    routes = [Route("/", answer)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(traced), Middleware(ObservedRequests, routes=routes, observers=[look])],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as http:
        await http.get("/", headers={"traceparent": TRACEPARENT})
    assert seen == [trace.INVALID_SPAN]
    headers: dict[str, str] = {}
    with publish_span("accounts.user.created", headers), process_span("accounts.user.created", headers):
        assert headers == {}


def test_without_opentelemetry_the_functions_do_nothing() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from hoc.telemetry import tracing
app = object()
assert tracing.traced(app) is app
assert tracing.request_describer() is None
headers = {}
with tracing.publish_span("x", headers), tracing.process_span("x", None):
    assert headers == {}
import hoc.telemetry.service
assert "opentelemetry.trace" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_mounting_needs_no_telemetry_packages() -> None:
    program = """
import sys
for missing in ("opentelemetry", "prometheus_client", "pythonjsonlogger", "psutil"):
    sys.modules[missing] = None
from hoc.asgi import Accounts
from hoc.settings import Settings
Accounts(Settings(database_url="postgresql://nobody@127.0.0.1/none", smtp_url="smtp://127.0.0.1"))
import hoc.telemetry
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
