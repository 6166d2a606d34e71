"""The OpenAPI document is valid, complete and true: a fuzzer checks every answer against it."""

from importlib.metadata import version
from typing import Any, cast

import httpx
import orjson
import pytest
import requests
import schemathesis
import schemathesis.checks as schemathesis_core_checks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as schemathesis_checks
from support.console import MOUNT, Console, Tenant, problem_of, raw

from hoc.cus.account.L2_api.console import console_operations
from hoc.cus.account.L2_api.openapi import openapi_document
from hoc.cus.account.L5_engines.engines import postgres_engines
from hoc.cus.account.L5_schemas.options import Options

every_check: Any = schemathesis_core_checks
conformance: Any = schemathesis_checks  # its generics are not spelt out
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
            console_operations(postgres_engines(Options()), on_mail_queued=lambda: None),
            title="hoc console",
            version=version("hoc"),
            server=MOUNT,
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
    answer = await console.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT


async def test_every_route_is_documented_once(console: Console) -> None:
    served = [
        f"{method} {route.path}"
        for route in console.accounts.app.routes
        if route.path != "/openapi.json"
        for method in (route.methods or set()) - {"HEAD"}
    ]
    assert sorted(served) == sorted(OPERATIONS)


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


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
    for headers in (await console.fuzzed(), {}):
        answer = await send(console, case, headers)
        case.validate_response(answer, checks=CHECKS)
        if answer.is_error:
            problem_of(answer)


async def test_every_success_is_as_documented(console: Console, tenant: Tenant) -> None:
    """A fuzzer rarely gets past the refusals; these calls do."""
    mine = console.as_(tenant.owner, tenant.tenant_id)
    invitation_id, token = await console.invite(tenant.tenant_id, tenant.owner)
    revoked, _ = await console.invite(tenant.tenant_id, tenant.owner)
    recipient = console.as_(tenant.admin, tenant.tenant_id)
    transfer = {"to_user_id": tenant.admin}
    calls: list[tuple[str, dict[str, str], Any, dict[str, str]]] = [
        ("GET /projects", {}, None, mine),
        ("POST /projects", {}, {"name": "Another"}, mine),
        ("GET /projects/{project_id}", {"project_id": tenant.tenant_id}, None, mine),
        ("GET /memberships", {}, None, mine),
        ("GET /users", {}, None, mine),
        ("GET /tenant/users", {}, None, mine),
        ("GET /users/{user_id}", {"user_id": tenant.viewer}, None, mine),
        ("PUT /users/{user_id}/role", {"user_id": tenant.viewer}, {"role": "member"}, mine),
        ("DELETE /users/{user_id}", {"user_id": tenant.viewer}, None, mine),
        ("POST /tenant/leave", {}, None, console.as_(tenant.member, tenant.tenant_id)),
        ("POST /users/invite", {}, {"email": f"{tenant.tenant_id}@example.com"}, mine),
        ("GET /invitations", {}, None, mine),
        ("POST /invitations/{invitation_id}/accept", {"invitation_id": invitation_id}, {"token": token}, {}),
        ("POST /invitations/{invitation_id}/resend", {"invitation_id": revoked}, {}, mine),
        ("DELETE /invitations/{invitation_id}", {"invitation_id": revoked}, None, mine),
        ("POST /tenant/ownership-transfer", {}, transfer, mine),
        ("GET /tenant/ownership-transfer", {}, None, mine),
        ("DELETE /tenant/ownership-transfer", {}, None, mine),
        ("POST /tenant/ownership-transfer", {}, transfer, mine),
        ("POST /tenant/ownership-transfer/accept", {}, None, recipient),
        ("GET /profile", {}, None, mine),
        ("PUT /profile", {}, {"preferences": {"theme": "dark"}}, mine),
        ("GET /billing", {}, None, mine),
        ("GET /billing/invoices", {}, None, mine),
        ("GET /support", {}, None, mine),
        ("POST /support/tickets", {}, {"subject": "Help", "description": "Please."}, mine),
        ("GET /support/tickets", {}, None, mine),
        ("GET /audit", {}, None, mine),
    ]
    assert {label for label, *_ in calls} == set(OPERATIONS)
    for label, path_parameters, body, headers in calls:
        body_given = {} if body is None else {"body": body, "media_type": "application/json"}
        case = OPERATIONS[label].Case(path_parameters=path_parameters, **body_given)
        answer = await send(console, case, headers)
        assert answer.is_success, (label, answer.text)
        case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (418, {"Content-Type": "application/problem+json"}, {}),
        (200, {"Content-Type": "text/plain", "ETag": '"1"'}, {}),
        (200, {"Content-Type": "application/json", "ETag": '"1"'}, {"user_id": 1}),
        (200, {"Content-Type": "application/json"}, None),
        (404, {"Content-Type": "application/problem+json"}, {}),
        (500, {"Content-Type": "application/problem+json"}, {}),
    ],
)
async def test_the_fuzzer_sees_what_is_not_as_documented(
    console: Console, tenant: Tenant, status: int, headers: dict[str, str], body: object
) -> None:
    case = OPERATIONS["GET /users/{user_id}"].Case(path_parameters={"user_id": tenant.viewer})
    right = await send(console, case, console.as_(tenant.owner, tenant.tenant_id))
    case.validate_response(right, checks=CHECKS)
    headers = {"X-Request-Id": "12345678"} | headers
    wrong = httpx.Response(
        status, headers=headers, json=right.json() if body is None else body, request=right.request
    )
    wrong.elapsed = right.elapsed
    with pytest.raises(FailureGroup):
        case.validate_response(wrong, checks=CHECKS)


async def send(console: Console, case: Any, headers: dict[str, str]) -> httpx.Response:
    prepared = requests.Request(**case.as_transport_kwargs(base_url=str(console.client.base_url))).prepare()
    own = [
        (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for name, value in prepared.headers.items()
        if name.lower() not in {"authorization", "content-length", "transfer-encoding"}
    ]
    return await console.client.request(
        prepared.method or "",
        prepared.url or "",
        content=cast("bytes | str | None", prepared.body),
        headers=[*own, *raw(headers)],
    )
