"""The statement that creates a tenant with its owner, its slug, its counts and its events."""

from sqlalchemy import (
    Date,
    Integer,
    String,
    Text,
    exists,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.events import MemberJoinedEventData, TenantCreatedEventData
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, USER
from hoc.cus.account.L6_drivers.member_texts import SEARCHED
from hoc.cus.account.L6_drivers.outbox import follows, recorded
from hoc.cus.account.L6_drivers.tables import (
    member_counts,
    memberships,
    tenant_creations,
    tenant_slugs,
    tenants,
    users,
)

NAME = param("name", String)
SLUG = param("slug", String)
DESCRIPTION = param("description", Text)
DAY = param("day", Date)


def _create() -> AnySelect:
    owner = (
        select(users.c.user_id, SEARCHED.label("searched"))
        .where(users.c.user_id == USER, users.c.is_active)
        .with_for_update(read=True)
        .cte("owner")
    )
    # Only if the slug is free, so that the search for one counts once.
    slot = (
        insert(tenant_creations)
        .from_select(
            ["user_id", "day", "created"],
            select(owner.c.user_id, DAY, literal(1)).where(
                ~exists().where(tenant_slugs.c.slug == SLUG).correlate_except(tenant_slugs)
            ),
        )
        .on_conflict_do_update(
            index_elements=[tenant_creations.c.user_id, tenant_creations.c.day],
            set_={"created": tenant_creations.c.created + 1},
            where=tenant_creations.c.created < param("per_user", Integer),
        )
        .returning(tenant_creations.c.created)
        .cte("slot")
    )
    claimed = (
        insert(tenant_slugs)
        .from_select(["slug", "tenant_id"], select(SLUG, TENANT).select_from(slot))
        .on_conflict_do_nothing()
        .returning(tenant_slugs.c.tenant_id)
        .cte("claimed")
    )
    created = (
        insert(tenants)
        .from_select(
            ["tenant_id", "name", "slug", "description", "created_at", "updated_at"],
            select(claimed.c.tenant_id, NAME, SLUG, DESCRIPTION, NOW, NOW),
        )
        .returning(tenants.c.tenant_id)
        .cte("created")
    )
    joined = (
        insert(memberships)
        .from_select(
            ["tenant_id", "user_id", "searched", "role", "joined_at", "updated_at"],
            select(created.c.tenant_id, *owner.c, literal(Role.OWNER.value), NOW, NOW).join(owner, true()),
        )
        .cte("joined")
    )
    counts = union_all(
        *(
            select(literal(role.value).label("role"), literal(int(role is Role.OWNER)).label("members"))
            for role in Role
        )
    ).subquery("counts")
    counted = (
        insert(member_counts)
        .from_select(
            ["tenant_id", "role", "members"],
            select(created.c.tenant_id, counts.c.role, counts.c.members).join(counts, true()),
        )
        .cte("counted")
    )
    tenant_created = recorded(
        TenantCreatedEventData, created, actor=USER, about_user=USER, name=NAME, slug=SLUG, owner_user_id=USER
    )
    owner_joined = recorded(
        MemberJoinedEventData,
        created,
        follows(tenant_created),
        actor=USER,
        user_id=USER,
        role=literal_column(f"'{Role.OWNER}'"),
        invited_by=null(),
    )
    return select(created.c.tenant_id).add_cte(joined, counted, tenant_created, owner_joined)


CREATE = _create()
