"""Every statement fits Citus, by rules that need no Citus: what it would refuse, or send to every shard."""

import re

import pytest
from sqlalchemy import ClauseElement, Executable, ForeignKeyConstraint, text
from support.citus_rules import (
    CALLS_IN_CHANGE,
    CROSSES_TENANTS,
    GROUPS_BY_KEY,
    LIMITS_ACROSS_SHARDS,
    LOCKS_ACROSS_SHARDS,
    READS_IN_DO_UPDATE,
    VOLATILITY,
    broken_rules,
)
from support.driver_statements import driver_statements
from support.plans import RENDERED

from hoc.cus.account.L6_drivers.citus import DISTRIBUTED, REFERENCE
from hoc.cus.account.L6_drivers.tables import metadata
from hoc.database import Database

ACROSS_TENANTS = {
    "the tenants of an account": "MEMBERSHIPS_OF(_BY_ROLE|_ACCOUNT)?|FRAME|RECEIVED|JOINABLE",
    "an account's status, and its name in its memberships": "TENANTS_OF|FULL_TENANT|SET_ACTIVE|COPY",
    "what operators and the support staff list": "TENANTS|FOUND_TENANTS|PAGES_OF_ALL",
    "the erasure of a person, and the list of erased tenants": "INVITATIONS_OF|DIRECTORY_USERS_OF|TICKETS_OF"
    "|ONLY_OWNER_OF"
    "|END_MEMBERSHIPS|DROP|ERASED|EMPTY_TICKETS|EMPTY_OWN_REPLIES|EMPTY_RECEIVED_REPLIES",
    "the export of a person": "OWN_ROWS|INVITATIONS|IN_DIRECTORIES|STORED_ANSWERS",
    "housekeeping": "TENANT_COUNTERS|IDEMPOTENCY_KEYS|USAGE_DAYS|FOLD|FIND_EXPIRED|FIND_CLOSED",
}
"""Names of statements that are about several tenants by what they are for. Citus asks every shard."""

WRONG = {
    "SELECT role FROM account.memberships WHERE account.memberships.user_id = $1": (
        CROSSES_TENANTS,
        "memberships",
    ),
    "SELECT 1 FROM account.tenants WHERE account.tenants.tenant_id = $1"
    " AND EXISTS (SELECT 1 FROM account.leases WHERE account.leases.tenant_id = account.tenants.tenant_id)": (
        CROSSES_TENANTS,
        "leases",
    ),
    "WITH moved AS (SELECT tenant_id FROM account.tenants WHERE account.tenants.tenant_id = $1)"
    " UPDATE account.member_counts SET members = 0 FROM moved"
    " WHERE account.member_counts.tenant_id = moved.tenant_id": (CROSSES_TENANTS, "member_counts"),
    "SELECT 1 FROM account.tenants WHERE account.tenants.tenant_id = $1 OR true": (
        CROSSES_TENANTS,
        "tenants",
    ),
    "INSERT INTO account.leases (quota) VALUES ($1)": (CROSSES_TENANTS, "leases"),
    "SELECT one.role FROM unnest($1::text[], $2::text[]) AS asked(tenant_id, user_id) JOIN LATERAL"
    " (SELECT m.role FROM account.memberships AS m WHERE m.tenant_id = ANY($1) AND m.user_id = asked.user_id"
    " LIMIT 1) AS one ON true": (LIMITS_ACROSS_SHARDS, "memberships"),
    "SELECT account.tenants.status, max(account.tenants.name) FROM account.tenants"
    " WHERE account.tenants.tenant_id = $1 GROUP BY account.tenants.tenant_id": (GROUPS_BY_KEY, "tenants"),
    "SELECT 1 FROM account.tenants WHERE account.tenants.tenant_id = ANY($1) FOR UPDATE": (
        LOCKS_ACROSS_SHARDS,
        "tenants",
    ),
    "WITH before AS (SELECT 1) INSERT INTO account.leases (tenant_id) VALUES ($1) ON CONFLICT (tenant_id)"
    " DO UPDATE SET quota = (SELECT quota FROM before)": (READS_IN_DO_UPDATE, "leases"),
    "INSERT INTO account.leases (tenant_id) VALUES ($1) ON CONFLICT (tenant_id)"
    " DO UPDATE SET quota = excluded.quota WHERE account.leases.expires_at < now()": (
        READS_IN_DO_UPDATE,
        "leases",
    ),
    "UPDATE account.memberships SET searched = concat(account.memberships.user_id, 'x')"
    " WHERE account.memberships.tenant_id = $1": (CALLS_IN_CHANGE, "memberships"),
    "DELETE FROM account.leases WHERE account.leases.tenant_id = $1 AND random() > 0.5": (
        CALLS_IN_CHANGE,
        "leases",
    ),
}


@pytest.fixture
async def volatility(database: Database) -> dict[str, str]:
    async with database.reading() as session:
        return {row.name: row.volatility for row in await session.execute(text(VOLATILITY))}


async def test_every_drivers_statement_fits_citus(database: Database, volatility: dict[str, str]) -> None:
    across = re.compile(rf"\.({'|'.join(ACROSS_TENANTS.values())})(\.|$)")
    broken = [
        (name, rule, table)
        for name, statement in driver_statements().items()
        for rule, table in broken_rules(_sql(statement, database), volatility)
        if rule != CROSSES_TENANTS or not across.search(name)
    ]
    assert broken == []


def _sql(statement: Executable, database: Database) -> str:
    assert isinstance(statement, ClauseElement)
    return RENDERED.sub("1", str(statement.compile(dialect=database.engine.dialect)))


@pytest.mark.parametrize("sql", WRONG)
def test_a_wrong_statement_breaks_its_rule(sql: str, volatility: dict[str, str]) -> None:
    assert broken_rules(sql, volatility) == {WRONG[sql]}


def test_no_foreign_key_leads_to_a_tenants_rows() -> None:
    keys = [
        (table.name, constraint.referred_table.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, ForeignKeyConstraint)
    ]
    by_tenant, everywhere = ({table.name for table in tables} for tables in (DISTRIBUTED, REFERENCE))
    assert {key for key in keys if key[0] not in by_tenant and key[1] in by_tenant} == set()
    assert {key for key in keys if key[0] in everywhere and key[1] not in everywhere} == set()
