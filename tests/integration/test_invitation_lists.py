"""A tenant's list of invitations and its total read few of them, whichever plan PostgreSQL chooses."""

import pytest
from support.plans import MODES, blocks_read
from support.seed import add_tenants, add_users, execute, scalar

from hoc.cus.account.L6_drivers.invitation_lists import PAGES
from hoc.database import Database

CLOSED = 20_000
"""One in five hundred of these was declined, and the others were accepted."""
PENDING = 20
"""Half of these have expired."""
FEW_BLOCKS = 100
INVITE = f"""
    INSERT INTO account.invitations (tenant_id, invitation_id, email, email_key, role, status, delivery,
                                     invited_by, created_at, expires_at)
    SELECT :tenant, 'inv-' || n, n || '@example.com', n || '@example.com', 'member',
           CASE WHEN n <= {PENDING} THEN 'pending' WHEN n % 500 = 0 THEN 'declined' ELSE 'accepted' END,
           'sent', 'ada', now() - n * interval '1 minute', now() + (n % 2 - 0.5) * interval '1 day'
    FROM generate_series(1, {PENDING + CLOSED}) AS n"""


@pytest.fixture
async def tenant(fresh_database: Database) -> str:
    [owner] = await add_users(fresh_database, 1)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner"})
    await execute(fresh_database, INVITE, tenant=tenant)
    await execute(fresh_database, "ANALYZE account.invitations")
    return tenant


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_delivery", [False, True])
async def test_a_list_with_its_total_reads_few_invitations(
    fresh_database: Database, tenant: str, mode: str, *, by_delivery: bool
) -> None:
    now = await scalar(fresh_database, "SELECT now()::text")
    values = {
        "given_tenant_id": tenant,
        "given_now": now,
        "given_row_limit": 51,
        "given_status": "declined",
        "given_delivery": "sent",
    }
    read = {
        kind: await blocks_read(fresh_database, page.first, values, table="invitations", mode=mode)
        for (kind, is_by_delivery), page in PAGES.items()
        if is_by_delivery is by_delivery
    }
    assert {kind: blocks for kind, blocks in read.items() if blocks > FEW_BLOCKS} == {}
    assert len(read) == len(PAGES) / 2
