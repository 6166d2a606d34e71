"""Rows become results by position: each statement has its result's fields first, in their order."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest

from hoc.cus.account.L5_schemas.identity import AccountProfileResponse, AccountSummaryResponse
from hoc.cus.account.L5_schemas.results import (
    MembershipResult,
    ProfileResult,
    ProfileUpdateResult,
    TenantUserResult,
    UserSummaryResult,
)
from hoc.cus.account.L6_drivers import account_lists, accounts, members, profiles
from hoc.cus.account.L6_drivers.statements import Paged


def statements_of(pages: Iterable[Paged]) -> list[Any]:
    return [statement for page in pages for statement in (page.first, page.by_offset, page.by_key)]


BY_RESULT: dict[type, list[Any]] = {
    AccountProfileResponse: [
        accounts.FIND,
        accounts.FIND_STORED,
        accounts.FIND_BY_EMAIL,
        accounts.ENSURE,
        accounts.UPDATE,
    ],
    AccountSummaryResponse: statements_of(
        [
            *account_lists.LISTS.values(),
            *account_lists.RARE.values(),
            *account_lists.COMMON.values(),
        ]
    ),
    UserSummaryResult: statements_of(members.PAGES.values()),
    TenantUserResult: [*statements_of([members.TENANT_USERS]), members.SET_ROLE],
    MembershipResult: statements_of([members.MEMBERSHIPS_OF]),
    ProfileResult: [profiles.FIND],
    ProfileUpdateResult: [profiles.UPDATE],
}


@pytest.mark.parametrize(
    ("result", "statement"),
    [(result, statement) for result, statements in BY_RESULT.items() for statement in statements],
)
def test_a_statement_has_the_fields_of_its_result_first(result: Any, statement: Any) -> None:
    names = [field.name for field in fields(result)]
    assert [column.name for column in statement.selected_columns][: len(names)] == names
