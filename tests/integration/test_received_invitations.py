"""The list of the invitations to one address reads no others, whichever plan PostgreSQL chooses."""

import pytest
from support.plans import MODES, blocks_read
from support.seed import add_tenants, add_users, execute

from hoc.cus.account.L6_drivers.received_invitations import RECEIVED
from hoc.database import Database

OTHERS = 20_000
TENANTS = 500
RECEIVED_BY_ONE = 200
"""Nearly all of these have been accepted."""
FEW_BLOCKS = 40
INVITE = f"""
    INSERT INTO account.invitations
      (tenant_id, invitation_id, email, email_key, role, status, invited_by, created_at, expires_at)
    SELECT tenant_id, 'inv-' || n, address, address, 'member',
           CASE WHEN n > {OTHERS} AND n % 20 <> 0 THEN 'accepted' ELSE 'pending' END, 'ada',
           now() - n * interval '1 second', now() + interval '1 day'
    FROM generate_series(1, {OTHERS + RECEIVED_BY_ONE}) AS n
    JOIN (SELECT tenant_id, row_number() OVER () - 1 AS number FROM account.tenants) AS t
      ON t.number = n % {TENANTS},
    LATERAL (SELECT CASE WHEN n > {OTHERS} THEN :address ELSE n || '@example.com' END AS address) AS a"""
PAGES = {"first": RECEIVED.first, "by_offset": RECEIVED.by_offset, "by_key": RECEIVED.by_key}


@pytest.fixture
async def invited(fresh_database: Database) -> str:
    """The account to whose address the invitations are, among many others."""
    owner, invited = await add_users(fresh_database, 2)
    await add_tenants(fresh_database, TENANTS, {owner: "owner"})
    await execute(fresh_database, INVITE, address=f"{invited}@example.com")
    await execute(fresh_database, "ANALYZE account.invitations, account.users, account.tenants")
    return invited


def values(user_id: str) -> dict[str, object]:
    return {
        "given_user_id": user_id,
        "given_now": "now",
        "given_row_limit": 51,
        "given_row_offset": 1,
        "given_after_at": "9999-01-01 00:00:00+00",
        "given_after_id": "",
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page", PAGES)
async def test_the_received_are_found_without_the_others(
    fresh_database: Database, invited: str, page: str, mode: str
) -> None:
    read = await blocks_read(fresh_database, PAGES[page], values(invited), table="invitations", mode=mode)
    assert 0 < read <= FEW_BLOCKS


async def test_without_the_index_all_would_be_read(fresh_database: Database, invited: str) -> None:
    indexes = "account.ix_invitations_received, account.ix_invitations_address"
    await execute(fresh_database, f"DROP INDEX {indexes}")
    read = await blocks_read(
        fresh_database, RECEIVED.first, values(invited), table="invitations", mode="force_generic_plan"
    )
    assert read > 3 * FEW_BLOCKS
