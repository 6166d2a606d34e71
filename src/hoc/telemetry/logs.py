"""The log of `hoc serve`: one line or JSON object per record, with the request id, without personal data."""

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Literal, cast

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

from hoc.cus.account.L2_api.request_ids import current_request_id

_FORMATTERS: Final = {
    "line": {
        "()": f"{__name__}.LineFormatter",
        "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s",
    },
    "json": {
        "()": f"{__name__}.JsonFormatter",
        "fmt": "%(levelname)s %(name)s %(message)s",
        "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception"},
        "reserved_attrs": [*RESERVED_ATTRS, "color_message"],  # the latter is uvicorn's
        "timestamp": True,
    },
}

# Attributes of exceptions that hold an error's number or a part of the database, but no personal data.
_FACTS: Final = ("errno", "sqlstate", "table_name", "column_name", "constraint_name")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_requests = logging.getLogger("hoc.requests")


def logging_config(form: Literal["json", "line"] | None) -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig`. None means lines on a terminal, else JSON."""
    chosen = form or ("line" if sys.stderr.isatty() else "json")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": _FORMATTERS,
        "filters": {"request": {"()": f"{__name__}.RequestFilter"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": chosen, "filters": ["request"]}
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"hoc": {"level": "INFO"}},
    }


def log_request(method: str, route: str, status: int, seconds: float) -> None:
    fields = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1_000, 1)}
    _requests.info("%(method)s %(route)s %(status)s in %(duration_ms)s ms", fields, extra=fields)


class RequestFilter(logging.Filter):
    """Adds the current request's id to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = current_request_id.get()
        if request_id is not None:
            record.request_id = request_id
        if record.name == "asyncio":
            # The lines after the first show tasks, and quote their exceptions.
            record.msg, record.args = record.getMessage().partition("\n")[0], ()
        return True


class LineFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record).rstrip("\n")  # uvicorn's messages end with one
        request_id = getattr(record, "request_id", None)
        return line if request_id is None else f"{line} [{request_id}]"

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        return without_texts(ei[1])


class JsonFormatter(OrjsonFormatter):
    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        return without_texts(ei[1])


def without_texts(error: BaseException | None) -> str:
    """Return the tracebacks and types of an exception and its causes, without their texts.

    PostgreSQL's texts quote whole rows, Python's the value that was wrong.
    """
    return "" if error is None else "".join(_lines(error, set())).rstrip("\n")


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines(earlier, seen)
        yield "\nThis led to:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}{_facts(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for part in cast("tuple[BaseException, ...]", error.exceptions):
            yield "\nOne of its parts:\n\n"
            yield from _lines(part, seen)


def _facts(error: BaseException) -> str:
    known = {name: value for name in _FACTS if (value := getattr(error, name, None)) is not None}
    return "".join(f" {name}={value}" for name, value in known.items())
