"""No statement reads the whole of a table that grows: among millions of rows it would take seconds."""

import pytest
from support.driver_statements import driver_statements
from support.plans import MODES, plans, whole
from support.postgres import opened
from support.seed import execute

from hoc.database import Database

ROWS = 20_000
FILL = f"""
    WITH n AS (SELECT n, 'm' || n AS id, 'm' || n || '@x.y' AS email FROM generate_series(1, {ROWS}) AS n),
    accounts AS (
      INSERT INTO account.users (user_id, email, email_key, is_active)
      SELECT id, email, email, n % 3 > 0 FROM n
    ), subjects AS (
      INSERT INTO account.linked_identities (issuer, subject, user_id) SELECT '', 's' || n, id FROM n
    ), projects AS (
      INSERT INTO account.tenants (tenant_id, name, slug) SELECT id, id, id FROM n
    ), invited AS (
      INSERT INTO account.invitations
        (tenant_id, invitation_id, email, email_key, role, invited_by, expires_at)
      SELECT 'm' || n % 10 + 1, id, email, email, 'member', 'm1', now() + interval '1 day' FROM n
    ), asked AS (
      INSERT INTO account.support_tickets
        (tenant_id, ticket_id, user_id, subject, description, status, priority, category, created_at)
      SELECT 'm' || n % 10 + 1, id, id, '', '', CASE n % 9 WHEN 0 THEN 'open' ELSE 'closed' END,
        CASE n % 7 WHEN 0 THEN 'urgent' ELSE 'low' END, CASE n % 5 WHEN 0 THEN 'billing' ELSE 'general' END,
        now() - n * interval '1 s' FROM n
    ), billed AS (
      INSERT INTO account.invoices
        (tenant_id, invoice_id, period_start, period_end, amount_cents, status, description)
      SELECT 'm' || n % 10 + 1, id, now() - n * interval '1 s', now(), 1,
        CASE n % 9 WHEN 0 THEN 'open' ELSE 'paid' END, '' FROM n
    )
    INSERT INTO account.memberships (tenant_id, user_id, role, is_active)
    SELECT 'm' || n % 10 + 1, id, 'member', n % 3 > 0 FROM n"""
FILLED = frozenset(
    {
        "users",
        "linked_identities",
        "tenants",
        "invitations",
        "memberships",
        "support_tickets",
        "invoices",
    }
)


# The statements of searches: see test_search.py.
PLANNED_FOR_ITS_VALUES = ("RARE", "AMONG_NEWEST", "COMMON", "FOUND_TENANTS")
OF_A_TEMPORARY_TABLE = "bulk_accounts.STORE"
# They list all that an index of few rows has.
OF_ALL_ERASED = "user_erasure.ERASED", "tenant_erasure.ERASED"
NOT_PLANNED = {OF_A_TEMPORARY_TABLE, *OF_ALL_ERASED}
VALUES = {
    "bigint": "1",
    "bigint[]": "{1}",
    "boolean": "true",
    "bytea": "x",
    "character varying": "m1",
    "character varying[]": "{m1}",
    "date": "2026-03-14",
    "integer": "1",
    "integer[]": "{1}",
    "interval": "1 day",
    "jsonb": "{}",
    "smallint": "1",
    "smallint[]": "{1}",
    "text": "m1",
    "text[]": "{m1}",
    "timestamp with time zone": "2026-03-14 10:00:00+00",
    "timestamp with time zone[]": "{2026-03-14 10:00:00+00}",
    "uuid": "00000000-0000-0000-0000-000000000001",
}


@pytest.mark.parametrize("mode", MODES)
async def test_no_statement_reads_a_whole_table(
    fresh_database_url: str, fresh_database: Database, mode: str
) -> None:
    async with opened(fresh_database_url, statement_timeout_ms=60_000) as patient:
        await execute(patient, FILL)
        await execute(patient, f"ANALYZE {', '.join(f'account.{table}' for table in FILLED)}")
    statements = {
        name: statement
        for name, statement in driver_statements().items()
        if name.split(".")[1] not in PLANNED_FOR_ITS_VALUES and name not in NOT_PLANNED
    }
    found = await plans(fresh_database, statements, VALUES, mode=mode)
    assert len(found) > 150
    assert {name: tables for name, plan in found.items() if (tables := whole(plan) & FILLED)} == {}
