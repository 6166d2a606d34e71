"""The log's two formats: records with the request's id, and without the texts of exceptions."""

import asyncio
import io
import json
import logging
import logging.config
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

import asyncpg
import pytest

from hoc.cus.account.L2_api.request_ids import current_request_id, identify_request
from hoc.telemetry.logs import RequestFilter, log_request, logging_config, without_texts

Form = Literal["json", "line"]
FORMS: list[Form] = ["json", "line"]
CANARY = "canary@example.com"


@contextmanager
def logged(form: Form) -> Generator[io.StringIO]:
    """Give what the configured handler writes in the block. pytest's own handlers stay."""
    written = io.StringIO()
    config = logging_config(form)
    config["handlers"]["stderr"]["stream"] = written
    config["loggers"] = {name: {"handlers": ["stderr"], "level": "INFO"} for name in ("hoc", "asyncio")}
    del config["root"]
    try:
        logging.config.dictConfig(config)
        yield written
    finally:
        for name in ("hoc", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.setLevel(logging.NOTSET)


async def in_a_request(request_id: str) -> None:
    """Log during a request, in a task of its own as in a server."""

    async def handle() -> None:
        identify_request({"type": "http", "headers": [(b"x-request-id", request_id.encode())]})
        logging.getLogger("hoc.test").info("inside")

    await asyncio.create_task(handle())


async def test_json_has_a_field_for_each_fact() -> None:
    with logged("json") as written:
        logging.getLogger("hoc.test").warning("outside, %s", "alone", extra={"color_message": "x"})
        await in_a_request("request-1")
    outside, inside = [json.loads(line) for line in written.getvalue().splitlines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", outside.pop("timestamp"))
    assert outside == {"level": "WARNING", "logger": "hoc.test", "message": "outside, alone"}
    del inside["timestamp"]
    assert inside == {
        "level": "INFO",
        "logger": "hoc.test",
        "message": "inside",
        "request_id": "request-1",
    }


async def test_a_line_ends_with_the_request_id() -> None:
    with logged("line") as written:
        logging.getLogger("hoc.test").warning("outside")
        await in_a_request("request-1")
    outside, inside = written.getvalue().splitlines()
    assert outside.endswith(" WARNING hoc.test: outside")
    assert inside.endswith(" INFO hoc.test: inside [request-1]")


async def test_concurrent_requests_keep_their_own_ids() -> None:
    with logged("json") as written:
        await asyncio.gather(*(in_a_request(f"request-{number}") for number in range(20)))
    ids = [json.loads(line)["request_id"] for line in written.getvalue().splitlines()]
    assert sorted(ids) == sorted(f"request-{number}" for number in range(20))
    assert current_request_id.get() is None


def test_a_request_is_logged_by_its_route() -> None:
    with logged("json") as written:
        log_request("GET", "/accounts/users/{user_id}", 404, 0.00126)
    record = json.loads(written.getvalue())
    assert record["message"] == "GET /accounts/users/{user_id} 404 in 1.3 ms"
    facts = {"method": "GET", "route": "/accounts/users/{user_id}", "status": 404, "duration_ms": 1.3}
    assert record | facts == record


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_is_logged_without_its_text(form: Form) -> None:
    with logged(form) as written:
        try:
            try:
                int(CANARY)
            except ValueError as cause:
                raise OSError(111, CANARY) from cause
        except OSError:
            logging.getLogger("hoc.test").exception("failed")
    text = written.getvalue()
    assert CANARY not in text
    assert "int(CANARY)" in text
    assert text.index("builtins.ValueError") < text.index("builtins.ConnectionRefusedError errno=111")


def test_a_postgresql_error_is_logged_with_its_constraint() -> None:
    refusal = asyncpg.UniqueViolationError(f"DETAIL:  Key (email_key)=({CANARY}) already exists.")
    vars(refusal).update(table_name="users", constraint_name="uq_users_email", detail=CANARY)
    logged_text = without_texts(refusal)
    assert logged_text.endswith(
        ".UniqueViolationError sqlstate=23505 table_name=users constraint_name=uq_users_email"
    )


def test_an_exception_group_is_logged_with_its_parts() -> None:
    """Each exception appears once, even if exceptions refer to each other in a circle."""
    first, second = KeyError(CANARY), ValueError(CANARY)
    first.__context__, second.__context__ = second, first
    text = without_texts(ExceptionGroup(CANARY, [first, second]))
    assert CANARY not in text
    assert [text.count(f"builtins.{kind}") for kind in ("ExceptionGroup", "KeyError", "ValueError")] == [
        1,
        1,
        2,
    ]


@pytest.mark.parametrize("form", FORMS)
async def test_an_unawaited_tasks_error_is_logged_without_its_text(form: Form) -> None:
    async def fail() -> None:
        raise ValueError(CANARY)

    with logged(form) as written:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
    text = written.getvalue()
    assert "Task exception was never retrieved" in text
    assert "builtins.ValueError" in text
    assert CANARY not in text


def test_the_filter_leaves_other_messages_whole() -> None:
    record = logging.makeLogRecord({"name": "hoc.test", "msg": "two\nlines"})
    assert RequestFilter().filter(record)
    assert record.getMessage() == "two\nlines"


@pytest.mark.parametrize(("terminal", "form"), [(True, "line"), (False, "json")])
def test_the_default_format_depends_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, form: Form
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert logging_config(None) == logging_config(form)
    assert logging_config("json") != logging_config("line")
