"""The statement that merges a patch into a membership's metadata, together with its event."""

from sqlalchemy import Integer, String, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import JSONB

from hoc.cus.account.L5_schemas.events import MemberUpdatedEventData
from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, USER, merged
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import memberships


def _update() -> AnySelect:
    before = (
        select(
            memberships.c.tenant_id,
            memberships.c.user_id,
            memberships.c.metadata.label("old"),
            merged(memberships.c.metadata, param("metadata", JSONB)).label("new"),
        )
        .where(memberships.c.tenant_id == TENANT, memberships.c.user_id == USER, memberships.c.is_active)
        .with_for_update(key_share=True)
        .cte("before")
    )
    judged = select(
        before,
        (func.octet_length(before.c.new.cast(String)) > param("max_bytes", Integer)).label("is_too_large"),
    ).cte("judged")
    written = (
        update(memberships)
        .where(
            memberships.c.tenant_id == TENANT,
            memberships.c.user_id == USER,
            memberships.c.user_id == judged.c.user_id,
            judged.c.new.is_distinct_from(judged.c.old),
            ~judged.c.is_too_large,
        )
        .values(metadata=judged.c.new, version=memberships.c.version + 1, updated_at=NOW)
        .returning(memberships.c.tenant_id, memberships.c.user_id)
        .cte("written")
    )
    updated = recorded(MemberUpdatedEventData, written, updated_fields=literal_column("ARRAY['metadata']"))
    return select(judged.c.is_too_large).add_cte(updated)


UPDATE = _update()
"""Returns a row that says whether the patch was refused; none if there is no such active member."""
