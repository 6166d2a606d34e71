"""Spreading the tables over a Citus cluster: which are distributed by tenant, and which are on every node."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from hoc.cus.account.L6_drivers.tables import (
    SCHEMA,
    idempotency_keys,
    invitation_counts,
    invitation_limits,
    invitations,
    invoices,
    join_requests,
    leases,
    linked_identities,
    member_counts,
    memberships,
    ownership_transfers,
    quota_counters,
    scim_counts,
    scim_group_members,
    scim_group_roles,
    scim_groups,
    scim_tokens,
    scim_users,
    subscriptions,
    support_tickets,
    tenants,
    ticket_replies,
    usage_days,
    users,
)

# Statements about a tenant join accounts and the subjects linked to them, on whichever node the tenant is.
REFERENCE: Final = (users, linked_identities)
# `tenants` first: the others are placed as it is.
DISTRIBUTED: Final = (
    tenants,
    memberships,
    member_counts,
    join_requests,
    invitations,
    invitation_counts,
    invitation_limits,
    ownership_transfers,
    scim_tokens,
    scim_group_roles,
    scim_users,
    scim_groups,
    scim_group_members,
    scim_counts,
    subscriptions,
    invoices,
    usage_days,
    quota_counters,
    leases,
    support_tickets,
    ticket_replies,
    idempotency_keys,
)
"""Each row is on the node of its tenant. All other tables are on the coordinator."""

HAS_CITUS = text("SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')")
IS_MIGRATED = text(f"SELECT to_regclass('{tenants.fullname}') IS NOT NULL")
SPREAD = text(
    "SELECT relname FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid"  # noqa: S608 - constants
    f" WHERE relnamespace = '{SCHEMA}'::regnamespace AND (partmethod = 'h' OR repmodel = 't')"
)
FOREIGN_KEYS = text(
    "SELECT conrelid::regclass::text AS referring, conname AS name,"  # noqa: S608 - constants
    " pg_get_constraintdef(oid) AS definition"
    f" FROM pg_constraint WHERE connamespace = '{SCHEMA}'::regnamespace AND contype = 'f' AND conparentid = 0"
    " AND (conrelid = ANY (CAST(:tables AS regclass[])) OR confrelid = ANY (CAST(:tables AS regclass[])))"
    " ORDER BY 1, 2"
)
COORDINATOR = text("SELECT count(*) FROM pg_dist_node WHERE groupid = 0 AND isactive")
SETTINGS: Final = {
    # A transaction that has used several connections to a node may not change a reference table any more.
    "citus.multi_shard_modify_mode": "sequential",
    "citus.max_adaptive_executor_pool_size": "1",
    # A part's result counts as a thousand rows, so PostgreSQL would compile almost every statement.
    "jit": "off",
}


class NotDistributableError(Exception):
    """The database cannot be distributed. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Distributed:
    """The names of the tables that were placed now; those that were before are not among them."""

    reference: list[str]
    by_tenant: list[str]


def distribute(connection: Connection) -> Distributed:
    """Place hoc's tables on the nodes of a Citus cluster, in the caller's transaction. Their rows go along.

    Run again, it places what a later version has added, and changes nothing else.

    Raises:
        NotDistributableError: there is no Citus, no coordinator among the nodes, or no table yet.
    """
    _require_cluster(connection)
    _set(connection)
    placed = set(connection.scalars(SPREAD))
    reference = [table for table in REFERENCE if table.name not in placed]
    by_tenant = [table for table in DISTRIBUTED if table.name not in placed]
    names = [table.fullname for table in (*reference, *by_tenant)]
    # Citus refuses a table that a local one refers to. All keys come back when both are placed.
    keys = connection.execute(FOREIGN_KEYS, {"tables": names}).all()
    for key in keys:
        connection.exec_driver_sql(f'ALTER TABLE {key.referring} DROP CONSTRAINT "{key.name}"')
    for table in reference:
        connection.execute(text("SELECT create_reference_table(:name)"), {"name": table.fullname})
    for table in by_tenant:
        beside = "default" if table is tenants else tenants.fullname
        connection.execute(
            text("SELECT create_distributed_table(:name, 'tenant_id', colocate_with => :beside)"),
            {"name": table.fullname, "beside": beside},
        )
    for key in keys:
        connection.exec_driver_sql(
            f'ALTER TABLE {key.referring} ADD CONSTRAINT "{key.name}" {key.definition}'
        )
    return Distributed([table.name for table in reference], [table.name for table in by_tenant])


def _require_cluster(connection: Connection) -> None:
    if not connection.scalar(HAS_CITUS):
        raise NotDistributableError(
            "This PostgreSQL has no extension citus, so there is nothing to distribute to."
            " On one PostgreSQL, hoc needs no such step."
        )
    if not connection.scalar(COORDINATOR):
        raise NotDistributableError(
            "The coordinator is not among the cluster's nodes."
            " Run SELECT citus_set_coordinator_host('its host', its port) there first."
        )
    if not connection.scalar(IS_MIGRATED):
        raise NotDistributableError("The database has none of hoc's tables yet. Run hoc migrate first.")


def _set(connection: Connection) -> None:
    """For this transaction, and for all of the database's sessions from the next one on."""
    database = connection.scalar(text("SELECT quote_ident(current_database())"))
    for name, value in SETTINGS.items():
        connection.exec_driver_sql(f"SET LOCAL {name} TO '{value}'")
        connection.exec_driver_sql(f"ALTER DATABASE {database} SET {name} TO '{value}'")
