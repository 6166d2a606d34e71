"""The identity service's OpenAPI document is valid, complete and true."""

from importlib.metadata import version
from typing import Any, cast

import httpx
import orjson
import pytest
import requests
import schemathesis
import schemathesis.checks as every_check_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as conformance_module
from support.console import IDENTITY_MOUNT, Console, new_email, problem_of, raw

from hoc.cus.account.L2_api.feed import FeedRoutes
from hoc.cus.account.L2_api.identity import PREFIX, IdentityRoutes
from hoc.cus.account.L2_api.openapi import openapi_document
from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L6_drivers.event_log import SqlEventLog
from hoc.testing import MemoryDatabase, memory_account_service

every_check: Any = every_check_module
conformance: Any = conformance_module  # its generics are not spelt out
CHECKS: list[Any] = [
    every_check.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
DOCUMENT: dict[str, Any] = orjson.loads(
    orjson.dumps(
        openapi_document(
            [
                *IdentityRoutes(memory_account_service(MemoryDatabase())).operations(),
                *FeedRoutes(EventFeed(SqlEventLog())).operations(),
            ],
            title="hoc identity",
            version=version("hoc"),
            server=IDENTITY_MOUNT,
        )
    )
)
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: dict[str, Any] = {
    operation.label: operation for operation in (result.ok() for result in SCHEMA.get_all_operations())
}


def test_it_is_a_valid_openapi_document() -> None:
    SCHEMA.validate()


async def test_it_is_what_is_served(console: Console) -> None:
    assert (await console.identity.get("/openapi.json")).json() == DOCUMENT


def test_every_route_is_documented_once(console: Console) -> None:
    served = [
        f"{method} {route.path}"
        for route in console.accounts.identity.routes
        if route.path not in {"/openapi.json", "/asyncapi.json"}
        for method in (route.methods or set()) - {"HEAD"}
    ]
    assert sorted(served) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_every_answer_is_as_documented(
    console: Console, data: st.DataObject, label: str, mode: GenerationMode
) -> None:
    case = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    for headers in (console.scoped("accounts:admin"), console.as_("usr_fuzzed"), {}):
        answer = await send(console, case, headers)
        case.validate_response(answer, checks=CHECKS)
        if answer.is_error:
            problem_of(answer)


async def test_every_success_is_as_documented(console: Console) -> None:
    """A fuzzer rarely gets past the refusals; these calls do."""
    email = new_email()
    account = {"user_id": f"usr_{email}", "email": email, "name": "Ada"}
    this = {"user_id": account["user_id"]}
    calls: list[tuple[str, dict[str, str], dict[str, str], Any]] = [
        (f"POST {PREFIX}/ensure", {}, {}, account),
        (f"POST {PREFIX}/ensure", {}, {}, account),
        (f"GET {PREFIX}/profile/{{user_id}}", this, {}, None),
        (f"PUT {PREFIX}/profile/{{user_id}}", this, {}, {"name": "Eve"}),
        (f"PUT {PREFIX}/preferences/{{user_id}}", this, {}, {"theme": "dark"}),
        (f"GET {PREFIX}", {}, {"page_size": "1"}, None),
        (f"GET {PREFIX}/search", {}, {"query": email}, None),
        (f"GET {PREFIX}/by-email/{{email}}", {"email": email}, {}, None),
        (f"GET {PREFIX}/stats", {}, {}, None),
        (f"PUT {PREFIX}/status/{{user_id}}", this, {}, {"is_active": False, "reason": "asked to"}),
        (f"DELETE {PREFIX}/profile/{{user_id}}", this, {"reason": "asked to"}, None),
        ("GET /events", {}, {"after": "0", "limit": "1"}, None),
    ]
    assert {label for label, *_ in calls} == set(OPERATIONS)
    for label, path_parameters, query, body in calls:
        body_given = {} if body is None else {"body": body, "media_type": "application/json"}
        case = OPERATIONS[label].Case(path_parameters=path_parameters, query=query, **body_given)
        answer = await send(console, case, console.scoped("accounts:admin"))
        assert answer.is_success, (label, answer.text)
        case.validate_response(answer, checks=CHECKS)


async def send(console: Console, case: Any, headers: dict[str, str]) -> httpx.Response:
    base_url = str(console.identity.base_url).rstrip("/")
    prepared = requests.Request(**case.as_transport_kwargs(base_url=base_url)).prepare()
    own = [
        (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for name, value in prepared.headers.items()
        if name.lower() not in {"authorization", "content-length", "transfer-encoding"}
    ]
    return await console.identity.request(
        prepared.method or "",
        prepared.url or "",
        content=cast("bytes | str | None", prepared.body),
        headers=[*own, *raw(headers)],
    )
