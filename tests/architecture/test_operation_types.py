"""A handler takes and returns the types that its operation declares: mypy refuses anything else."""

import re
import typing
from pathlib import Path

import mypy.api
import pytest
from support.routes import OPERATIONS

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
from hoc.cus.account.L2_api.bodies import ChangeRole, InviteUser, PageQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.members import Members
from hoc.cus.account.L5_schemas.results import MemberLeftResult, TenantUserResult


@Operation("PUT", "/role", TenantUserResult, body=ChangeRole)
async def as_declared(members: Members, call: Call[ChangeRole]) -> TenantUserResult:
    return await members.change_role(call.session, "", "", "", call.body.role)


@Operation("PUT", "/role", MemberLeftResult, body=ChangeRole)
async def of_another_engine(members: Members, call: Call[ChangeRole]) -> MemberLeftResult:
    return await members.change_role(call.session, "", "", "", call.body.role)  # refused


@Operation("PUT", "/role", MemberLeftResult, body=ChangeRole)  # refused
async def of_another_result(members: Members, call: Call[ChangeRole]) -> TenantUserResult:
    return await members.change_role(call.session, "", "", "", call.body.role)


@Operation("PUT", "/role", TenantUserResult, body=InviteUser)  # refused
async def of_another_body(members: Members, call: Call[ChangeRole]) -> TenantUserResult:
    raise NotImplementedError


@Operation("PUT", "/role", TenantUserResult)  # refused
async def of_another_query(members: Members, call: Call[None, PageQuery]) -> TenantUserResult:
    raise NotImplementedError
"""


def test_mypy_refuses_a_handler_of_other_types(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # With the cache of `make check`, mypy reads this program alone.
    places = {"config-file": "pyproject.toml", "cache-dir": ".mypy_cache"}
    configured = [f"--{option}={REPOSITORY / place}" for option, place in places.items()]
    report, problems, _ = mypy.api.run([*configured, str(program)])
    found = {int(line) for line in re.findall(r"program\.py:(\d+): error", report)}
    lines = enumerate(PROGRAM.splitlines(), start=1)
    assert found == {number for number, line in lines if line.endswith("# refused")}, report + problems


@pytest.mark.parametrize("label", OPERATIONS)
def test_a_handler_has_the_types_of_its_operation(label: str) -> None:
    operation = OPERATIONS[label]
    hints = typing.get_type_hints(operation.handler)
    assert hints["return"] == operation.result
    body_and_query = typing.get_args(hints["call"]) or (None, None)
    assert [None if kind is type(None) else kind for kind in body_and_query] == [
        operation.body,
        operation.query,
    ]
