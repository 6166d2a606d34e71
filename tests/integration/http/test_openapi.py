"""Both OpenAPI documents are valid, complete and true: a fuzzer checks every answer against them."""

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
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Console, Headers, problem_of, raw
from support.effort import examples
from support.routes import ROUTES, SERVICES, WITH_BODY, Route
from support.world import Team

from hoc.cus.account.L2_api.openapi import openapi_document
from hoc.cus.account.L5_engines.scim_tokens import MAX_TOKENS
from hoc.distribution import installed_version

every_check: Any = schemathesis_core_checks
conformance: Any = schemathesis_checks  # its generics are not spelt out
CHECKS: list[Any] = [
    every_check.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
TITLES = {MOUNT: "hoc console", IDENTITY_MOUNT: "hoc identity"}
DOCUMENTS: dict[str, dict[str, Any]] = {
    mount: orjson.loads(
        orjson.dumps(
            openapi_document(operations, title=TITLES[mount], version=installed_version(), server=mount)
        )
    )
    for mount, operations in SERVICES.items()
}


def with_bearer_alone(document: dict[str, Any]) -> dict[str, Any]:
    """Without the gateway's headers, which the fuzzer would make up, and find no wrong value for."""
    fuzzed: dict[str, Any] = orjson.loads(orjson.dumps(document))
    bearer: list[dict[str, list[str]]] = [{"bearer": []}]
    fuzzed["security"] = bearer
    schemes = fuzzed["components"]["securitySchemes"]
    fuzzed["components"]["securitySchemes"] = {"bearer": schemes["bearer"]}
    for operation in (operation for path in fuzzed["paths"].values() for operation in path.values()):
        if "security" in operation:
            operation["security"] = [{}, *bearer] if {} in operation["security"] else bearer
    return fuzzed


SCHEMAS: dict[str, Any] = {
    mount: schemathesis.openapi.from_dict(with_bearer_alone(document))
    for mount, document in DOCUMENTS.items()
}
DOCUMENTED: dict[str, Any] = {
    operation.label.replace(" ", f" {mount}"): operation
    for mount, schema in SCHEMAS.items()
    for operation in (result.ok() for result in schema.get_all_operations())
}


@pytest.mark.parametrize("mount", SCHEMAS)
def test_the_document_is_valid(mount: str) -> None:
    SCHEMAS[mount].validate()


@pytest.mark.parametrize("mount", DOCUMENTS)
async def test_the_document_is_served(console: Console, mount: str) -> None:
    answer = await console.client.get(f"{HOST}{mount}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENTS[mount]


def test_every_route_is_documented_once(console: Console) -> None:
    served = [
        f"{method} {mount}{route.path}"
        for mount, app in ((MOUNT, console.served.console_app), (IDENTITY_MOUNT, console.served.identity_app))
        for route in app.routes
        if route.path not in {"/openapi.json", "/asyncapi.json"}
        for method in (route.methods or set()) - {"HEAD"}
    ]
    assert sorted(served) == sorted(DOCUMENTED)


@pytest.mark.parametrize("mount", DOCUMENTS)
def test_operation_ids_are_unique(mount: str) -> None:
    paths = DOCUMENTS[mount]["paths"].values()
    names = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_the_table_gives_every_field_of_a_body(route: Route) -> None:
    body = DOCUMENTED[route.label].definition.raw["requestBody"]["content"]["application/json"]["schema"]
    if name := body.get("$ref", "").rpartition("/")[2]:
        body = DOCUMENTS[route.mount]["components"]["schemas"][name]
    assert set(body.get("properties", route.body)) == set(route.body or {})


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", DOCUMENTED)
@settings(
    max_examples=examples(8, torture=250),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_every_answer_is_as_documented(
    console: Console, data: st.DataObject, label: str, mode: GenerationMode
) -> None:
    case = data.draw(DOCUMENTED[label].as_strategy(generation_mode=mode))
    for headers in (await console.fuzzed(), console.as_("usr_fuzzed"), {}):
        answer = await send(console, ROUTES[label].mount, case, headers)
        case.validate_response(answer, checks=CHECKS)
        if answer.is_error:
            problem_of(answer)


async def test_a_limit_that_no_waiting_ends_is_as_documented(console: Console, team: Team) -> None:
    label = f"POST {MOUNT}/scim/tokens"
    headers = console.as_(team.owner, team.tenant_id)
    answers = [
        await console.client.post("/scim/tokens", json={"name": f"{number}"}, headers=headers)
        for number in range(MAX_TOKENS + 1)
    ]
    assert answers[-1].status_code == 429
    assert "retry-after" not in answers[-1].headers
    DOCUMENTED[label].Case().validate_response(answers[-1], checks=CHECKS)


@pytest.mark.parametrize("label", DOCUMENTED)
async def test_every_success_is_as_documented(console: Console, team: Team, label: str) -> None:
    """A fuzzer rarely gets past the refusals; these calls do."""
    route = ROUTES[label]
    values = await route.prepare(console, team)
    headers = route.allowed(console, team, values)
    for _ in range(2 if label.endswith("/ensure") else 1):
        answer = await console.client.request(**route.request(values), headers=headers)
        assert answer.is_success, answer.text
        DOCUMENTED[label].Case(path_parameters=values).validate_response(answer, checks=CHECKS)


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
    console: Console, team: Team, status: int, headers: Headers, body: object
) -> None:
    case = DOCUMENTED[f"GET {MOUNT}/users/{{user_id}}"].Case(path_parameters={"user_id": team.viewer})
    right = await send(console, MOUNT, case, console.as_(team.owner, team.tenant_id))
    case.validate_response(right, checks=CHECKS)
    headers = {"X-Request-Id": "12345678"} | headers
    wrong = httpx.Response(
        status, headers=headers, json=right.json() if body is None else body, request=right.request
    )
    wrong.elapsed = right.elapsed
    with pytest.raises(FailureGroup):
        case.validate_response(wrong, checks=CHECKS)


async def send(console: Console, mount: str, case: Any, headers: Headers) -> httpx.Response:
    prepared = requests.Request(**case.as_transport_kwargs(base_url=f"{HOST}{mount}")).prepare()
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
