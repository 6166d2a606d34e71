"""New account records: the statement that stores them counts them and records their events, too."""

import random
from typing import Any

from sqlalchemy import CTE, ColumnElement, SmallInteger, func, literal_column, null, select
from sqlalchemy.dialects.postgresql import Insert, insert

from hoc.cus.account.L5_schemas.events import UserCreatedEventData
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import account_registrations, account_totals, users

SHARDS = 16
SHARD = param("shard", SmallInteger)


def any_shard() -> int:
    """A random value for `SHARD`."""
    return random.randrange(SHARDS)  # noqa: S311 - spreads load, keeps no secret


async def register(session: SqlSession, accounts: list[dict[str, Any]]) -> None:
    """Store account records, each a complete row of `users`."""
    stored, *counted = registered(insert(users).values(accounts), actor=null())
    await fetch_all(session, select(stored.c.user_id).add_cte(*counted), shard=any_shard())


def registered(
    new_accounts: Insert, *, actor: ColumnElement[Any], hours_since: ColumnElement[Any] | None = None
) -> tuple[CTE, CTE, CTE, CTE]:
    """The CTE of the rows that ``new_accounts`` stores, the two that count them, and the one of their events.

    Accounts created before ``hours_since`` are not counted by hour: those counts would soon be deleted.
    """
    stored = new_accounts.returning(*users.c).cte("stored")
    totals = insert(account_totals).from_select(
        ["shard", "accounts", "active"],
        select(SHARD, func.count(), func.count().filter(stored.c.is_active))
        .select_from(stored)
        .having(func.count() > 0),
    )
    totals = totals.on_conflict_do_update(
        index_elements=[account_totals.c.shard],
        set_={
            "accounts": account_totals.c.accounts + totals.excluded.accounts,
            "active": account_totals.c.active + totals.excluded.active,
        },
    )
    hour = func.date_trunc("hour", stored.c.created_at, "UTC")
    by_hour = select(hour, SHARD, func.count()).group_by(hour)
    if hours_since is not None:
        by_hour = by_hour.where(hour >= hours_since)
    hours = insert(account_registrations).from_select(["hour", "shard", "accounts"], by_hour)
    hours = hours.on_conflict_do_update(
        index_elements=[account_registrations.c.hour, account_registrations.c.shard],
        set_={"accounts": account_registrations.c.accounts + hours.excluded.accounts},
    )
    created = recorded(
        UserCreatedEventData,
        stored,
        at=stored.c.updated_at,
        actor=actor,
        name=func.coalesce(stored.c.name, ""),
        subscription_plan=literal_column("'free'"),
    )
    return stored, totals.cte("counted_totals"), hours.cte("counted_hours"), created
