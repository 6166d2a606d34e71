"""Parts of statements that several drivers share: parameters, locking a tenant or a membership, a quota."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, String, case, delete, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.selectable import LateralFromClause
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.values import PLAN_QUOTAS
from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.tables import SCHEMA, join_requests, linked_identities, memberships, tenants

TENANT = param("tenant_id", String)
USER = param("user_id", String)
NOW = param("now", DateTime(timezone=True))


ACCOUNT = func.coalesce(
    select(linked_identities.c.user_id)
    .where(linked_identities.c.issuer == literal_column("''"), linked_identities.c.subject == USER)
    .scalar_subquery(),
    USER,
)
"""The account that the primary issuer's subject `USER` is linked to, else the account with this id."""

# Not FOR UPDATE: other transactions may still insert rows that refer to the tenant.
LOCK_TENANT = select(tenants.c.tenant_id).where(tenants.c.tenant_id == TENANT).with_for_update(key_share=True)

# Whoever becomes a member asks no more, and may join by themselves again after leaving.
REQUEST_ENDED = (
    delete(join_requests)
    .where(join_requests.c.tenant_id == TENANT, join_requests.c.user_id == USER)
    .cte("request_ended")
)


def pattern_of(part: str) -> str:
    r"""What LIKE compares to find a part of a text: ``%``, ``_`` and ``\`` in the part mean themselves."""
    escaped = part.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def any_of(column: ColumnElement[str], parameter: str) -> ColumnElement[bool]:
    """``column = ANY(:parameter)``: one prepared statement for lists of every length."""
    return column == func.any(param(parameter, ARRAY(String)))


def membership_of(tenant_id: ColumnElement[str], user_id: ColumnElement[str]) -> LateralFromClause:
    """The membership (tenant_id, user_id), found by its key. Each of the two may be another table's column.

    Grouped by its key, so that PostgreSQL plans it by itself. Joined plainly, it may read all members of a
    large tenant by an index of lists, since the planner takes every tenant for an average one. A LIMIT would
    do the same, but Citus refuses one across shards. Grouped by the other columns, too: where there is no
    tenant, Citus reads an empty table without a key.
    """
    key = (memberships.c.tenant_id == tenant_id, memberships.c.user_id == user_id)
    return select(memberships).where(*key).group_by(*memberships.c).lateral("one")


def held_membership(user_id: ColumnElement[str], *, after: CTE | None = None) -> CTE:
    """The active membership with its tenant's status: neither changes until the transaction ends.

    Rights are decided by it after the last lock that a write waits for, which ``after`` waits for if it is in
    the same statement. The rows are read as they are once locked, and not as of the statement's start. The
    tenant is locked before the membership, as by every statement that ends or changes one.

    Each locks one table without a join: when a row has changed, PostgreSQL runs the query of its lock again,
    and that must not contain a statement that writes.
    """
    last = [] if after is None else [exists().select_from(after)]
    tenant = (
        select(tenants.c.tenant_id, tenants.c.status)
        .where(tenants.c.tenant_id == TENANT, *last)
        .with_for_update(read=True)
        .cte("held_tenant")
    )
    membership = (
        select(memberships.c.tenant_id, memberships.c.user_id, memberships.c.role)
        .where(
            memberships.c.tenant_id == TENANT,
            memberships.c.user_id == user_id,
            memberships.c.is_active,
            exists().select_from(tenant),
        )
        .with_for_update(read=True)
        .cte("held_membership")
    )
    return (
        select(membership, tenant.c.status)
        .select_from(membership.join(tenant, membership.c.tenant_id == tenant.c.tenant_id))
        .cte("held")
    )


def quota(name: str) -> ColumnElement[int]:
    """The tenant's own quota, else its plan's."""
    of_plan = case(
        *(
            (
                tenants.c.plan == literal_column(f"'{plan}'"),
                literal_column(str(getattr(quotas, name)), Integer),
            )
            for plan, quotas in PLAN_QUOTAS.items()
        )
    )
    return func.coalesce(tenants.c[name], of_plan).label(name)


def merged(document: ColumnElement[Any], patch: ColumnElement[Any]) -> ColumnElement[Any]:
    """The document with the merge patch (RFC 7396) applied."""
    merge_patch = getattr(func, SCHEMA).json_merge_patch
    result: ColumnElement[Any] = merge_patch(document, patch, type_=JSONB)
    return result
