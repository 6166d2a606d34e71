"""New account records: the statement that stores them counts them and records their events, too."""

import random
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    SmallInteger,
    String,
    Text,
    false,
    func,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from hoc.cus.account.L5_schemas.events import UserCreatedEventData
from hoc.cus.account.L5_schemas.port_types import NewAccount
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, USER
from hoc.cus.account.L6_drivers.outbox import ACTOR, recorded
from hoc.cus.account.L6_drivers.tables import SCHEMA, account_registrations, account_totals, users

SHARDS = 16
SHARD = param("shard", SmallInteger)
HAS_GENERATED_ID = param("has_generated_id", Boolean)

RECORD = (
    users.c.user_id,
    users.c.email,
    users.c.name,
    users.c.is_active,
    users.c.preferences,
    users.c.created_at,
    users.c.updated_at,
)


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

    Of an import, accounts created before ``hours_since`` are not counted by hour, as those counts would soon
    be deleted, and a deleted account has no event.
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
    is_import = hours_since is not None
    created = recorded(
        UserCreatedEventData,
        stored,
        *([stored.c.deleted_at.is_(None)] if is_import else []),
        at=stored.c.updated_at,
        actor=actor,
        name=func.coalesce(stored.c.name, ""),
        subscription_plan=literal_column("'free'"),
    )
    return stored, totals.cte("counted_totals"), hours.cte("counted_hours"), created


def _ensure() -> AnySelect:
    """Stores an account unless its id is there, its address is taken, or its id is a linked subject.

    Under an id that was generated it counts as unclaimed until a subject is linked to it.
    """
    new: dict[str, ColumnElement[Any]] = {
        "user_id": USER,
        "email": param("email", String),
        "email_key": param("email_key", String),
        "name": param("name", String),
        "name_key": param("name_key", Text),
        "email_verified": param("email_verified", Boolean),
        "has_generated_id": HAS_GENERATED_ID,
        "is_claimed": ~HAS_GENERATED_ID,
        "created_at": NOW,
        "updated_at": NOW,
    }
    is_unlinked = getattr(func, SCHEMA).hold_unlinked(USER)
    stored, *counted = registered(
        insert(users).from_select([*new], select(*new.values()).where(is_unlinked)).on_conflict_do_nothing(),
        actor=ACTOR,
    )
    made = select(*(stored.c[column.name] for column in RECORD), true().label("was_created"))
    there = select(*RECORD, false().label("was_created")).where(
        users.c.user_id == USER, users.c.erased_at.is_(None), ~select(stored.c.user_id).exists()
    )
    both = union_all(made, there).subquery("both")
    return select(both).add_cte(*counted)


ENSURE = _ensure()


async def ensure(
    session: SqlSession, account: NewAccount, now: datetime, *, actor: str | None
) -> AnyRow | None:
    """The account's row, created unless its id is there, and ``was_created``.

    None: another account has the address, or the id is a subject that is linked to another account, or an
    erased person's.
    """
    return await fetch_one(
        session,
        ENSURE,
        user_id=account.user_id,
        email=account.email.given,
        email_key=account.email.key,
        name=account.name,
        name_key=account.name_key,
        email_verified=account.email_verified,
        has_generated_id=account.has_generated_id,
        now=now,
        actor=actor,
        shard=any_shard(),
    )
