"""Rows become results by position, so a statement must select the fields of its result, in order."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Integer, column, literal_column, select

from hoc.cus.account.L6_drivers import (
    account_lists,
    billing,
    invitation_lists,
    members,
    tenants,
    ticket_replies,
    tickets,
)
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of

LISTS: list[Paged] = [
    *account_lists.LISTS.values(),
    *account_lists.RARE.values(),
    *account_lists.COMMON.values(),
    *members.PAGES.values(),
    members.TENANT_USERS,
    members.TENANT_USERS_BY_ROLE,
    members.MEMBERSHIPS_OF,
    members.MEMBERSHIPS_OF_BY_ROLE,
    *tenants.PAGES.values(),
    *tickets.PAGES.values(),
    ticket_replies.REPLIES,
    *invitation_lists.PAGES.values(),
    billing.INVOICES,
    billing.INVOICES_BY_STATUS,
]


@dataclass(frozen=True)
class Point:
    x: int
    y: int


def statement(*names: str) -> Any:
    return select(*(column(name, Integer) for name in names))


def test_more_columns_may_follow() -> None:
    point = record_of(Point, statement("x", "y"), statement("x", "y", "version"))
    row: Any = (1, 2, 3)
    assert point(row) == Point(1, 2)


@pytest.mark.parametrize("names", [("y", "x"), ("x",), ("x", "z", "y"), ("version", "x", "y")])
@pytest.mark.parametrize("is_list", [False, True])
def test_other_columns_are_refused_by_name(names: tuple[str, ...], *, is_list: bool) -> None:
    wrong = statement(*names)
    if is_list:
        wrong = Paged(wrong, at=column("at"), row_id=column("id"), total=literal_column("1"))
    with pytest.raises(TypeError) as caught:
        record_of(Point, statement("x", "y"), wrong)
    assert "Point" in str(caught.value)
    assert "['x', 'y']" in str(caught.value)
    assert f"{[*names][:2]}"[:-1] in str(caught.value)


@pytest.mark.parametrize("paged", LISTS)
def test_the_statements_of_a_list_have_the_same_columns(paged: Paged) -> None:
    """`record_of` compares those of the first statement alone."""
    checked = [column.name for column in paged.selected_columns]
    for each in (paged.first, paged.by_offset, paged.by_key):
        assert [column.name for column in each.selected_columns] == checked
