"""Every statement on a tenant-owned table names the tenant, and the catalog allows no other shape."""

import re
from typing import Any

import pytest
from sqlalchemy import ClauseElement, text
from support.citus_rules import VOLATILITY, broken_rules
from support.console import HOST, MOUNT, Console
from support.routes import ROUTES
from support.scim_client import ScimClient, use_every_operation
from support.statements import recorded_statements

from hoc.cus.account.L6_drivers.event_log import OF_TENANT
from hoc.cus.account.L6_drivers.invitation_mail import CLAIM, FINISH, POSTPONE
from hoc.cus.account.L6_drivers.joining import JOINABLE
from hoc.cus.account.L6_drivers.member_texts import COPY
from hoc.cus.account.L6_drivers.members import MEMBERSHIPS_OF, MEMBERSHIPS_OF_BY_ROLE
from hoc.cus.account.L6_drivers.received_invitations import RECEIVED
from hoc.cus.account.L6_drivers.tables import SCHEMA, metadata

# Slugs are unique across tenants, the courier reads mails of all tenants, events are read by sequence:
# their keys do not begin with the tenant.
EVENTS = {"outbox", "events"}
GLOBAL_BY_DESIGN = {
    "tenant_slugs",
    "invitation_mails",
    "ticket_mails",
    "domain_mails",
    "webhook_mails",
} | EVENTS
TENANT_OWNED = {table.name for table in metadata.tables.values() if "tenant_id" in table.c} - GLOBAL_BY_DESIGN
READ_BY_TENANT = TENANT_OWNED | EVENTS

ALLOWED = {
    "a user's own memberships, across tenants": (
        MEMBERSHIPS_OF.first,
        MEMBERSHIPS_OF.by_offset,
        MEMBERSHIPS_OF.by_key,
        MEMBERSHIPS_OF_BY_ROLE.first,
    ),
    "the invitations to a user's own address, across tenants": (
        RECEIVED.first,
        RECEIVED.by_offset,
        RECEIVED.by_key,
    ),
    "the tenants that a user's own address lets join, across tenants": (
        JOINABLE.first,
        JOINABLE.by_offset,
        JOINABLE.by_key,
    ),
    "a name or address in all memberships of its account": (COPY,),
    "the courier's queue": (CLAIM, POSTPONE, FINISH),
}


def without_tenant(sql: str) -> set[str]:
    """The tables of tenants' rows that a statement uses without naming the tenant.

    A table is bound by comparing its tenant_id with a parameter, or with that of something else in the
    statement, or by being inserted into with one; somewhere in the statement there is the parameter itself.
    """
    if not re.search(r"tenant_id\s*=\s*\$\d|\$\d+::VARCHAR(?:\[\])?\s*(?:AS|,|\))", sql):
        return {table for table in READ_BY_TENANT if re.search(rf"\b{SCHEMA}\.{table}\b", sql)}
    return {
        table
        for table in READ_BY_TENANT
        if re.search(rf"\b{SCHEMA}\.{table}\b", sql)
        and not re.search(rf"\b{table}\.tenant_id\s*=\s*(?:\$\d|[\w.]+\.tenant_id)", sql)
        and not re.search(rf"[\w.]+\.tenant_id\s*=\s*{SCHEMA}\.{table}\.tenant_id", sql)
        and not re.search(rf"INSERT INTO {SCHEMA}\.{table} \((?:\w+, )*tenant_id", sql)
    }


def sql_of(console: Console, statement: ClauseElement) -> str:
    return " ".join(str(statement.compile(dialect=console.database.engine.dialect)).split())


def allowed_sql(console: Console) -> set[str]:
    return {sql_of(console, statement) for statements in ALLOWED.values() for statement in statements}


async def use_every_route(console: Console) -> None:
    """Call each operation twice, so that some are refused late; follow pages, and use filters."""
    for route in ROUTES.values():
        if route.mount != MOUNT:
            continue
        team = await console.invited_team()
        values = await route.prepare(console, team)
        headers = route.allowed(console, team, values)
        key = {} if route.operation.answers_secret else {"Idempotency-Key": team.tenant_id}
        keyed = headers | key | {"If-Match": '"2"'}
        request = route.request(values)
        assert (await console.client.request(**request, headers=headers)).is_success
        for again in (headers, keyed):
            answer = await console.client.request(**request, headers=again)
            assert answer.status_code in {200, 201, 202, 403, 404, 409, 412}, (route, answer.text)
        if route.operation.is_page:
            first = await console.client.get(route.url(), params={"limit": "1"}, headers=headers)
            if "link" in first.headers:
                following = await console.client.get(HOST + first.links["next"]["url"], headers=headers)
                assert following.status_code == 200
    for filtered in (
        "/users?status=inactive",
        "/users?role=owner",
        "/users?role=owner&status=inactive",
        "/invitations?status=pending",
        "/support/tickets?status=open",
        "/support/tickets?priority=high&category=general",
        "/billing/invoices?status=open",
        "/memberships?role=owner",
        "/tenant/users?role=owner",
        "/users?search=person",
        "/projects?status=active",
        "/domains?status=pending",
    ):
        assert (await console.client.get(filtered, headers=await console.fuzzed())).status_code == 200


async def use_what_only_pages_use(console: Console) -> None:
    team = await console.invited_team()
    async with console.reading() as session:
        trail = await console.facade.audit.list(session, team.tenant_id, team.owner)
        named = await console.facade.audit.names(session, team.tenant_id, trail.value.events)
    assert named.invitations


async def test_every_statement_names_the_tenant(console: Console) -> None:
    with recorded_statements(console.database) as statements:
        await use_every_route(console)
        await use_what_only_pages_use(console)
    allowed = allowed_sql(console)
    offending = {sql: missing for sql in set(statements) - allowed if (missing := without_tenant(sql))}
    assert not offending
    assert len(set(statements)) > 25
    assert allowed & set(statements), "the exceptions are not used any more: take them off the list"
    assert await unfit_for_citus(console, set(statements) - allowed) == {}


async def unfit_for_citus(console: Console, statements: set[str]) -> dict[str, set[tuple[str, str]]]:
    """Those sent that Citus would refuse, or send to every shard; drivers put some together as they run."""
    volatility = {row.name: row.volatility for row in await catalog(console, VOLATILITY)}
    parsed = {sql for sql in statements if not sql.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SET"))}
    return {sql: broken for sql in parsed if (broken := broken_rules(sql, volatility))}


async def test_every_statement_of_a_directory_names_the_tenant(directory: ScimClient) -> None:
    with recorded_statements(directory.console.database) as statements:
        await use_every_operation(directory)
    assert {sql: missing for sql in set(statements) if (missing := without_tenant(sql))} == {}
    assert await unfit_for_citus(directory.console, set(statements)) == {}
    assert len(set(statements)) > 25


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        (
            "SELECT x FROM account.memberships WHERE account.memberships.user_id = $1::VARCHAR",
            {"memberships"},
        ),
        ("SELECT x FROM account.memberships WHERE account.memberships.tenant_id = $1::VARCHAR", set[str]()),
        (
            "SELECT x FROM account.invitations, account.tenants WHERE account.tenants.tenant_id = $1",
            {"invitations"},
        ),
        (
            "UPDATE account.member_counts SET members=$1 WHERE account.member_counts.role = $2::VARCHAR",
            {"member_counts"},
        ),
        ("DELETE FROM account.support_tickets", {"support_tickets"}),
        ("INSERT INTO account.invitations (tenant_id, email) SELECT $1::VARCHAR AS x", set[str]()),
        ("INSERT INTO account.outbox (type, tenant_id) SELECT 'a', $1::VARCHAR AS x", set[str]()),
    ],
)
def test_the_check_sees_a_missing_tenant(sql: str, missing: set[str]) -> None:
    assert without_tenant(sql) == missing


@pytest.mark.parametrize("table", sorted(EVENTS))
@pytest.mark.parametrize("filters", OF_TENANT)
async def test_the_audit_trail_names_the_tenant_in_both_tables(
    console: Console, table: str, filters: tuple[bool, bool]
) -> None:
    sql = sql_of(console, OF_TENANT[filters])
    assert without_tenant(sql) == set()
    assert without_tenant(sql.replace(f"{table}.tenant_id = ", f"{table}.user_id = ")) == {table}


async def catalog(console: Console, sql: str) -> list[Any]:
    async with console.database.reading() as session:
        return list((await session.execute(text(sql), {"schema": SCHEMA})).all())


INDEXES = """
    SELECT t.relname AS table_name, i.relname AS index_name, x.indisprimary, x.indisunique,
           array(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k(n, o)
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY k.o) AS columns
    FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = :schema
"""


async def test_keys_of_tenant_owned_tables_begin_with_the_tenant(console: Console) -> None:
    indexes = [row for row in await catalog(console, INDEXES) if row.table_name in TENANT_OWNED]
    primary = {row.table_name: row.columns for row in indexes if row.indisprimary}
    assert set(primary) == TENANT_OWNED
    assert all(columns[0] == "tenant_id" for columns in primary.values())
    without = [row.index_name for row in indexes if row.indisunique and "tenant_id" not in row.columns]
    # The table is on the coordinator of a cluster: a verified domain is unique in all tenants.
    assert without == ["uq_tenant_domains_verified"]


async def test_there_are_no_triggers(console: Console) -> None:
    found = await catalog(
        console,
        "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND NOT t.tgisinternal",
    )
    assert found == []


async def test_nothing_global_refers_to_a_tenants_rows(console: Console) -> None:
    references = await catalog(
        console,
        "SELECT f.relname AS referring, t.relname AS referred FROM pg_constraint c"
        " JOIN pg_class f ON f.oid = c.conrelid JOIN pg_class t ON t.oid = c.confrelid"
        " JOIN pg_namespace n ON n.oid = f.relnamespace WHERE c.contype = 'f' AND n.nspname = :schema",
    )
    assert references, "no foreign key at all: this test tests nothing"
    crossing = [
        (row.referring, row.referred)
        for row in references
        if row.referring not in TENANT_OWNED and row.referred in TENANT_OWNED
    ]
    assert crossing == []
