"""A claim takes no more rows than were asked for, also where a locked row is freed meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from support.seed import execute, scalar
from support.waiting import until

from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.database import Database

# In the order of the table; the last one is due first.
ROWS = (
    "INSERT INTO account.invitation_mails (mail_id, tenant_id, invitation_id, due_at)"
    " SELECT 'm' || n, 't', 'i' || n, now() - n * interval '1 minute' FROM generate_series(1, 3) n"
)
SLOW = (
    "CREATE FUNCTION account.sleep() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END'"
)
EACH = (
    "CREATE TRIGGER sleep BEFORE UPDATE ON account.invitation_mails"
    " FOR EACH ROW EXECUTE FUNCTION account.sleep()"
)
LOCK = "SELECT FROM account.invitation_mails WHERE mail_id = 'm3' FOR UPDATE"
SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
WITHOUT = ("hashjoin", "mergejoin", "material", "hashagg", "sort", "indexscan", "bitmapscan")
"""What keeps PostgreSQL from a nested loop, in which it executes a subquery once for each row."""


async def test_a_claim_takes_no_more_than_was_asked_for(fresh_database: Database) -> None:
    for statement in (ROWS, SLOW, EACH):
        await execute(fresh_database, statement)
    now = datetime.now(UTC)

    async def claim() -> int:
        async with fresh_database.transaction() as session:
            for way in WITHOUT:
                await session.execute(text(f"SET LOCAL enable_{way} = off"))
            lease_until = now + timedelta(hours=1)
            return len(await SqlInvitationMail().claim(session, now=now, lease_until=lease_until, batch=1))

    async with fresh_database.transaction() as other:
        await other.execute(text(LOCK))
        claiming = asyncio.create_task(claim())
        await until(lambda: scalar(fresh_database, SLEEPS))
    assert await claiming == 1
