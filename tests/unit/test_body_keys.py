"""Far more keys than a body's type has are refused before they are validated."""

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L2_api.bodies import AcceptInvitation, CursorQuery, UpdateProfile
from hoc.cus.account.L2_api.body_keys import check_keys
from hoc.cus.account.L2_api.problems import MAX_PROBLEMS
from hoc.cus.account.L2_api.request import MAX_QUERY_PARAMETERS, BodyParser, parse_body, parse_query
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest

MANY = {f"k{number}": 1 for number in range(8_683)}
FEW = dict.fromkeys(("a", "b"), 1)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (AcceptInvitation, MANY),
        (AcceptInvitation, {"token": MANY}),
        (AcceptInvitation, {"token": [MANY]}),
        (AcceptInvitation, {"token": [FEW] * 10}),
        (AcceptInvitation, list(MANY)),
        (AccountEnsureRequest, MANY),
        (UpdateProfile, MANY),
        (UpdateProfile, {"display_name": {"preferences": MANY}}),
    ],
)
def test_too_many_keys_are_refused(model: Any, body: Any) -> None:
    with pytest.raises(InvalidInputError, match="too many keys"):
        check_keys(body, model)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (AcceptInvitation, {"token": "t"} | FEW),
        (AcceptInvitation, "text"),
        (UpdateProfile, {"preferences": MANY}),
        (dict[str, Any], MANY),
    ],
)
def test_few_keys_and_any_preferences_are_left_to_the_type(model: Any, body: Any) -> None:
    check_keys(body, model)


def test_the_first_unknown_keys_are_named() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_body(orjson.dumps({"a/b": 1, "token": "t"} | MANY), AcceptInvitation)
    assert [problem.pointer for problem in refusal.value.problems][:2] == ["/a~1b", "/k0"]
    assert len(refusal.value.problems) == MAX_PROBLEMS


def test_a_query_has_at_most_100_parameters() -> None:
    query = b"&".join([b"a"] * (MAX_QUERY_PARAMETERS + 1))
    with pytest.raises(InvalidInputError, match="query parameters"):
        parse_query(Request({"type": "http", "query_string": query}), CursorQuery)
    given = query[: 2 * MAX_QUERY_PARAMETERS - 1]
    with pytest.raises(InvalidInputError, match="a is not a parameter"):
        parse_query(Request({"type": "http", "query_string": given}), CursorQuery)


@pytest.mark.parametrize("model", [AcceptInvitation, AccountEnsureRequest, UpdateProfile])
def test_pydantic_sees_no_body_with_too_many_keys(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.cus.account.L2_api.request._adapter", None)
    with pytest.raises(InvalidInputError):
        parse_body(orjson.dumps(MANY), model)


async def test_large_bodies_let_other_requests_in_between() -> None:
    """Each takes a millisecond: a flood parsed at once would keep the event loop from everybody else."""
    parser = BodyParser(PerLoop(lambda: Limiter(1, timeout_seconds=5)))
    happened: list[str] = []

    async def send() -> None:
        with pytest.raises(InvalidInputError):
            await parser.parse(orjson.dumps(MANY), AcceptInvitation)
        happened.append("parsed")

    async def be_served() -> None:
        while happened.count("parsed") < 5:
            happened.append("served")
            await asyncio.sleep(0)

    await asyncio.gather(*(send() for _ in range(5)), be_served())
    assert all("served" in pair for pair in pairwise(happened))
