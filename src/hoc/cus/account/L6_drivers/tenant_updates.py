"""The statement that applies a patch to a tenant, under its lock, with its slug and its event."""

from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    Text,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from hoc.cus.account.L5_schemas.events import TenantUpdatedEventData
from hoc.cus.account.L5_schemas.port_types import TENANT_UPDATABLE
from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, merged
from hoc.cus.account.L6_drivers.outbox import names_of, recorded
from hoc.cus.account.L6_drivers.tables import tenant_slugs, tenants

_NEW: dict[str, ColumnElement[Any]] = {
    "name": func.coalesce(param("name", String), tenants.c.name),
    "slug": func.coalesce(param("slug", String), tenants.c.slug),
    "description": func.nullif(
        func.coalesce(param("description", Text), tenants.c.description), literal_column("''")
    ),
    "metadata": merged(tenants.c.metadata, param("metadata", JSONB)),
    "invitations_only_to_domains": func.coalesce(
        param("invitations_only_to_domains", Boolean), tenants.c.invitations_only_to_domains
    ),
}


def _update() -> AnySelect:
    before = (
        select(
            tenants.c.tenant_id,
            tenants.c.version,
            *(value.label(name) for name, value in _NEW.items()),
            *(tenants.c[name].label(f"old_{name}") for name in TENANT_UPDATABLE),
        )
        .where(tenants.c.tenant_id == TENANT)
        .with_for_update(key_share=True)
        .cte("before")
    )
    expected = func.coalesce(param("expected_version", Integer), before.c.version)
    size = func.octet_length(before.c.metadata.cast(String))
    judged = select(
        before,
        (before.c.version != expected).label("is_stale"),
        (size > param("max_bytes", Integer)).label("is_too_large"),
        *(
            before.c[name].is_distinct_from(before.c[f"old_{name}"]).label(f"{name}_changed")
            for name in TENANT_UPDATABLE
        ),
    ).cte("judged")
    changed = {name: judged.c[f"{name}_changed"] for name in TENANT_UPDATABLE}
    is_allowed = ~judged.c.is_stale & ~judged.c.is_too_large
    claimed = (
        insert(tenant_slugs)
        .from_select(
            ["slug", "tenant_id"],
            select(judged.c.slug, judged.c.tenant_id).where(judged.c.slug_changed, is_allowed),
        )
        .on_conflict_do_nothing()
        .returning(tenant_slugs.c.slug)
        .cte("claimed")
    )
    is_taken = judged.c.slug_changed & ~exists().select_from(claimed)
    written = (
        update(tenants)
        .where(
            tenants.c.tenant_id == TENANT,
            tenants.c.tenant_id == judged.c.tenant_id,
            or_(*changed.values()),
            is_allowed,
            ~is_taken,
        )
        .values(
            **{name: judged.c[name] for name in TENANT_UPDATABLE},
            version=tenants.c.version + 1,
            updated_at=NOW,
        )
        .returning(tenants.c.tenant_id, tenants.c.name, tenants.c.slug)
        .cte("written")
    )
    freed = (
        delete(tenant_slugs)
        .where(
            tenant_slugs.c.slug == judged.c.old_slug,
            tenant_slugs.c.tenant_id == written.c.tenant_id,
            written.c.tenant_id == judged.c.tenant_id,
            judged.c.slug_changed,
        )
        .cte("freed")
    )
    updated = recorded(
        TenantUpdatedEventData,
        judged.join(written, written.c.tenant_id == judged.c.tenant_id),
        tenant_id=written.c.tenant_id,
        name=written.c.name,
        slug=written.c.slug,
        updated_fields=names_of(**changed),
    )
    return (
        select(judged.c.is_stale, judged.c.is_too_large, is_taken.label("is_taken"))
        .select_from(judged)
        .add_cte(freed, updated)
    )


UPDATE = _update()
"""Returns a row that says whether the patch was refused; none if there is no such tenant."""
