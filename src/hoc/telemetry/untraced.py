"""Replaces `hoc.telemetry.spans` where OpenTelemetry is not installed: each function does nothing."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from starlette.types import ASGIApp

from hoc.telemetry.requests import Observer


def traced(app: ASGIApp) -> ASGIApp:
    return app


def route_describer() -> Callable[[str, str], None] | None:
    return None


def request_describer() -> Observer | None:
    return None


@contextmanager
def publish_span(subject: str, headers: dict[str, str]) -> Generator[None]:  # noqa: ARG001 - as in spans
    yield


@contextmanager
def process_span(subject: str, headers: Mapping[str, str] | None) -> Generator[None]:  # noqa: ARG001 - as in spans
    yield
