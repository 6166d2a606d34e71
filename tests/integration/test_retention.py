"""What is kept for some days only goes when it is older. By default, everything stays."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.seed import add_account, add_tenants, add_users, damage, execute, scalar

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database
from hoc.events.relay import Relay
from hoc.retention import KeepDays, Retention

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=40), NOW - timedelta(days=20)
THIRTY_DAYS = KeepDays(events=30, deleted_accounts=30, ended_invitations=30)
MONTHS = (
    "SELECT array_agg(relname::text ORDER BY relname) FROM pg_class"
    " WHERE relkind = 'r' AND relname LIKE 'events_2025%'"
)
CREATE_MONTH = (
    "CREATE TABLE account.events_2025_{0:02} PARTITION OF account.events"
    " FOR VALUES FROM ('2025-{0:02}-01+00') TO ('2025-{1:02}-01+00')"
)


def engines(at: datetime) -> Engines:
    return postgres_engines(Options(), clock=lambda: at)


def retention(database: Database, keep: KeepDays = THIRTY_DAYS, *, now: datetime = NOW) -> Retention:
    return Retention(database, engines(now).erasure, keep, clock=lambda: now, batch=2)


async def delete_account(database: Database, user_id: str, at: datetime) -> None:
    await create_account_service(database).delete_account(user_id)
    await execute(
        database, "UPDATE account.users SET deleted_at = :at WHERE user_id = :user", at=at, user=user_id
    )


@pytest.fixture
async def tenant(fresh_database: Database) -> tuple[str, str]:
    """The tenant's id, and its owner's."""
    [owner] = await add_users(fresh_database, 1)
    [tenant_id] = await add_tenants(fresh_database, 1, {owner: "owner"})
    return tenant_id, owner


async def test_old_deleted_accounts_are_erased_and_no_others(
    fresh_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be erased is named in the log, and is not in the way of the others."""
    old = await add_users(fresh_database, 25)
    young, deactivated, active = await add_users(fresh_database, 3)
    for number, user_id in enumerate(old):
        await delete_account(fresh_database, user_id, OLD + timedelta(minutes=number))
    await delete_account(fresh_database, young, YOUNG)
    accounts = create_account_service(fresh_database)
    await accounts.change_account_status(deactivated, AccountStatusChangeRequest(is_active=False))
    stuck = old[0]
    await execute(
        fresh_database,
        f"ALTER TABLE account.users ADD CONSTRAINT stuck CHECK (user_id <> '{stuck}' OR erased_at IS NULL)",
    )
    await asyncio.gather(*(retention(fresh_database).apply() for _ in range(2)))
    left = "SELECT array_agg(user_id ORDER BY user_id) FROM account.users WHERE erased_at IS NULL"
    assert await scalar(fresh_database, left) == sorted([stuck, young, deactivated, active])
    assert f"the deleted account {stuck} is not erased: IntegrityError" in caplog.text
    erasures = "SELECT count(*) FROM account.outbox WHERE type = 'user.erased'"
    assert await scalar(fresh_database, erasures) == len(old) - 1
    assert await damage(fresh_database) == []


async def test_an_account_that_is_active_again_is_not_erased(fresh_database: Database) -> None:
    [user_id] = await add_users(fresh_database, 1)
    async with fresh_database.transaction() as session:
        erasure = engines(NOW).erasure
        assert not await erasure.erase_deleted_user(session, user_id, deleted_before=NOW)
    assert await scalar(fresh_database, "SELECT erased_at FROM account.users") is None


async def invite(session: AsyncConnection, tenant: tuple[str, str], name: str, at: datetime) -> str:
    made = await engines(at).invitations.invite(session, *tenant, email=f"{name}@example.com")
    return made.id


async def accept(
    session: AsyncConnection, tenant_id: str, invitation_id: str, name: str, at: datetime
) -> None:
    await add_account(session, name, f"{name}@example.com", email_verified=True, now=at)
    issued = await issue_token(SqlInvitationMail(), session, tenant_id, invitation_id, now=at)
    assert issued is not None
    await engines(at).acceptances.accept(session, invitation_id, issued[1])


async def invitations_of_each_kind(database: Database, tenant: tuple[str, str]) -> None:
    """Those that ended long ago are of ``old-…``, all others of ``young-…``."""
    async with database.transaction() as session:
        for age, at in (("old", OLD), ("young", YOUNG)):
            await invite(session, tenant, f"{age}-expired", at)
            revoked = await invite(session, tenant, f"{age}-revoked", at)
            await engines(at).invitations.revoke(session, *tenant, revoked)
            accepted = await invite(session, tenant, f"{age}-accepted", at)
            await accept(session, tenant[0], accepted, f"{age}-accepted", at)
        late = await invite(session, tenant, "young-late", OLD)
        await engines(YOUNG).invitations.revoke(session, *tenant, late)
        await invite(session, tenant, "young-pending", NOW)


ADDRESSES = "SELECT array_agg(split_part(email, '@', 1) ORDER BY email) FROM account.invitations"
YOUNG_ONES = ["young-accepted", "young-expired", "young-late", "young-pending", "young-revoked"]


async def test_old_ended_invitations_go_with_their_addresses(
    fresh_database: Database, tenant: tuple[str, str]
) -> None:
    """The kept numbers stay right, and past events keep all but the address."""
    await invitations_of_each_kind(fresh_database, tenant)
    relay = Relay(fresh_database, None, source="urn:test")
    await execute(fresh_database, CREATE_MONTH.replace("2025", "2026").format(2, 3))
    assert await relay.sequence_events()
    before = await scalar(fresh_database, "SELECT count(*) FROM account.events")
    await asyncio.gather(*(retention(fresh_database).apply() for _ in range(2)))
    await retention(fresh_database).apply()
    assert await scalar(fresh_database, ADDRESSES) == YOUNG_ONES
    assert await damage(fresh_database) == []
    left = (
        "SELECT count(*) FROM account.events WHERE type LIKE 'invitation.%' AND payload::text LIKE '%old-%@%'"
    )
    assert await scalar(fresh_database, left) == 0
    assert await scalar(fresh_database, left.replace("old-", "young-")) != 0
    assert await scalar(fresh_database, "SELECT count(*) FROM account.events") == before


@pytest.fixture
async def months(fresh_database: Database) -> None:
    """An event in each of three months, all published."""
    await execute(fresh_database, "DELETE FROM account.outbox")
    for month in (1, 2, 3):
        await execute(fresh_database, CREATE_MONTH.format(month, month + 1))
        await execute(
            fresh_database,
            "INSERT INTO account.events (sequence, position, type, time, payload)"
            " VALUES (:n, :n, 'user.created', :at, '{}')",
            n=month,
            at=datetime(2025, month, 15, tzinfo=UTC),
        )
    await publish_up_to(fresh_database, 3)


async def publish_up_to(database: Database, sequence: int) -> None:
    await execute(database, "DELETE FROM account.event_cursors")
    for name in ("nats", "sequenced"):
        await execute(database, "INSERT INTO account.event_cursors VALUES (:name, :n)", name=name, n=sequence)


@pytest.mark.usefixtures("months")
@pytest.mark.parametrize("hindrance", ["none", "unpublished", "unsent", "unnumbered"])
async def test_old_months_go_once_every_cursor_has_passed(fresh_database: Database, hindrance: str) -> None:
    """Thirty days before 31 March, January and February had ended: their last event is the second."""
    match hindrance:
        case "unpublished":
            await publish_up_to(fresh_database, 1)
        case "unsent":
            await execute(
                fresh_database,
                "INSERT INTO account.webhook_endpoints"
                " (tenant_id, endpoint_id, url, sequence, secret, due_at)"
                " VALUES ('', 'e', 'https://example.com', 1, '', now())",
            )
        case "unnumbered":
            await execute(
                fresh_database,
                "INSERT INTO account.outbox (type, time, payload) VALUES ('user.created', :at, '{}')",
                at=datetime(2025, 2, 28, 23, 59, tzinfo=UTC),
            )
        case _:
            pass
    now = datetime(2025, 3, 31, tzinfo=UTC)
    await asyncio.gather(*(retention(fresh_database, now=now).apply() for _ in range(2)))
    kept = ["events_2025_03"] if hindrance == "none" else ["events_2025_02", "events_2025_03"]
    assert await scalar(fresh_database, MONTHS) == kept


@pytest.mark.usefixtures("months")
async def test_without_a_setting_everything_stays(fresh_database: Database, tenant: tuple[str, str]) -> None:
    await invitations_of_each_kind(fresh_database, tenant)
    [deleted] = await add_users(fresh_database, 1)
    await delete_account(fresh_database, deleted, OLD)
    await retention(fresh_database, KeepDays()).apply()
    assert await scalar(fresh_database, MONTHS) == ["events_2025_01", "events_2025_02", "events_2025_03"]
    assert await scalar(fresh_database, "SELECT count(*) FROM account.invitations") == len(YOUNG_ONES) + 3
    erased = "SELECT count(*) FROM account.users WHERE erased_at IS NOT NULL"
    assert await scalar(fresh_database, erased) == 0
