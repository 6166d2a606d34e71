"""The statement that applies a patch to an account's row: under the row's lock, together with its event."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from hoc.cus.account.L5_schemas.events import UserProfileUpdatedEventData
from hoc.cus.account.L5_schemas.port_types import CLEARABLE, AccountPatch
from hoc.cus.account.L6_drivers.execution import (
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_one,
    param,
    require_transaction,
)
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, NOW, USER, merged
from hoc.cus.account.L6_drivers.member_texts import copy_text
from hoc.cus.account.L6_drivers.outbox import ACTOR, names_of, recorded
from hoc.cus.account.L6_drivers.tables import users

_COLUMNS = {"display_name": "name"}
"""The columns of those fields of results that are not named like their column."""
_OF_ADDRESS = frozenset({"email", "email_verified"})
"""Whether an address stays verified depends on whether it stays."""


class AccountUpdate:
    """The statements for some of the `UPDATABLE` columns.

    A patch runs the one with only the columns that it gives, because a statement for all costs twice as much.

    Args:
        columns: the columns that it updates. It ignores a patch's values for the others.
        result: the dataclass whose fields a returned row has first, as they are after the update. The columns
            ``version``, ``is_stale`` and ``is_too_large`` follow.
    """

    def __init__(self, *columns: str, result: type) -> None:
        self._columns = columns
        self._results = [field.name for field in fields(result)]
        self._statements: dict[tuple[str, ...], AnySelect] = {}

    def statement(self, *columns: str) -> AnySelect:
        """The statement for some of the columns, or all of them."""
        columns = columns or self._columns
        if columns not in self._statements:
            self._statements[columns] = _update(columns, self._results)
        return self._statements[columns]

    async def run(
        self,
        session: SqlSession,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
        max_preferences_bytes: int = 0,
    ) -> AnyRow | None:
        """Apply the patch to an active account. Returns None when there is none.

        Nothing is written when nothing would change, when the version is not the expected one, or when the
        merged preferences would be too large.
        """
        columns = tuple(name for name in self._columns if _is_given(patch, name)) or self._columns
        values = {name: getattr(patch, name) for name in _with_keys(columns)}
        values["expected_version"] = expected_version
        if "preferences" in columns:
            values["max_bytes"] = max_preferences_bytes
        is_found_by = patch.name is not None or patch.email is not None
        if is_found_by:
            # Else the account would be unlocked before its text is copied.
            require_transaction(session, "A member's new name and address")
        statement = self.statement(*columns)
        row = await fetch_one(session, statement, user_id=user_id, now=now, actor=actor, **values)
        if is_found_by and row is not None:
            await copy_text(session, user_id)
        return row


def _is_given(patch: AccountPatch, column: str) -> bool:
    if column in _OF_ADDRESS:
        return any(getattr(patch, name) is not None for name in _OF_ADDRESS)
    return bool(patch.preferences) if column == "preferences" else getattr(patch, column) is not None


def _with_keys(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns, and those that are derived from them."""
    return (*columns, *(f"{name}_key" for name in columns if f"{name}_key" in users.c))


def _update(columns: tuple[str, ...], results: list[str]) -> AnySelect:
    given = _with_keys(columns)
    shown = {name: _COLUMNS.get(name, name) for name in results} | {"version": "version"}
    kept = {"email", "name", *shown.values()} - {"user_id", *given}
    before = (
        select(
            users.c.user_id,
            *(_patched(name).label(name) for name in given),
            *(users.c[name].label(f"old_{name}") for name in given),
            *(users.c[name] for name in sorted(kept)),
        )
        .where(users.c.user_id == ACCOUNT, users.c.is_active)
        .with_for_update(key_share=True)
        .cte("before")
    )
    changes = {name: before.c[name].is_distinct_from(before.c[f"old_{name}"]) for name in columns}
    if "email" in columns:
        # An account that has lost its address may get the same one back.
        changes["email"] |= before.c.email_key.is_distinct_from(before.c.old_email_key)
    is_stale = before.c.version != func.coalesce(param("expected_version", Integer), before.c.version)
    is_too_large: ColumnElement[bool] = false()
    if "preferences" in columns:
        is_too_large = func.octet_length(before.c.preferences.cast(String)) > param("max_bytes", Integer)
    judged = select(
        before,
        is_stale.label("is_stale"),
        is_too_large.label("is_too_large"),
        *(changed.label(f"{name}_changed") for name, changed in changes.items()),
    ).cte("judged")
    changed = {name: judged.c[f"{name}_changed"] for name in columns}
    new: dict[str, ColumnElement[Any]] = {name: judged.c[name] for name in given}
    written = (
        update(users)
        .where(
            users.c.user_id == judged.c.user_id,
            or_(*changed.values()),
            ~judged.c.is_stale,
            ~judged.c.is_too_large,
        )
        .values(**new, version=users.c.version + 1, updated_at=NOW)
        .returning(users.c.user_id, users.c.version, users.c.updated_at)
        .cte("written")
    )
    updated = recorded(
        UserProfileUpdatedEventData,
        judged.join(written, written.c.user_id == judged.c.user_id),
        at=written.c.updated_at,
        actor=case((ACTOR == USER, judged.c.user_id), else_=ACTOR),
        user_id=judged.c.user_id,
        email=judged.c.email,
        name=func.coalesce(judged.c.name, ""),
        updated_fields=names_of(**changed),
        updated_at=written.c.updated_at,
    )
    after: dict[str, ColumnElement[Any]] = {name: judged.c[column] for name, column in shown.items()}
    for stepped in ("updated_at", "version"):
        after[stepped] = func.coalesce(written.c[stepped], judged.c[stepped])
    return (
        select(
            *(value.label(name) for name, value in after.items()),
            judged.c.is_stale,
            judged.c.is_too_large,
        )
        .select_from(judged.outerjoin(written, written.c.user_id == judged.c.user_id))
        .add_cte(updated)
    )


def _patched(column: str) -> ColumnElement[Any]:
    """The column's value after the patch."""
    if column == "email_verified":
        # Another address has yet to be verified. The same address in another spelling need not be.
        same = _patched("email_key").is_not_distinct_from(users.c.email_key)
        return func.coalesce(param(column, Boolean), users.c.email_verified & same)
    if column != "preferences":
        new: ColumnElement[Any] = func.coalesce(param(column, String), users.c[column])
        return func.nullif(new, literal_column("''")) if column in CLEARABLE else new
    return merged(users.c.preferences, param(column, JSONB))
