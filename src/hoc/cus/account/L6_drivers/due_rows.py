"""Claiming the due rows of a queue that several workers share."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Integer, select

from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import NOW


def due_rows(*key: Column[Any], at: Column[datetime]) -> AnySelect:
    """The keys of up to ``batch`` rows that are due, oldest first, without those that others have locked.

    The rows stay locked until the transaction ends.
    """
    due = (
        select(*key)
        .where(at <= NOW)
        .order_by(at)
        .limit(param("batch", Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
        # As a subquery it could be executed several times, and each time lock other rows.
        .prefix_with("MATERIALIZED")
    )
    return select(*due.c)
