"""Erasing a person while the person does something: whoever is first, nothing of the person stays.

The two are brought together by `support.races.meeting`: both wait before either may write, or the rival comes
when the erasure has done all but commit.
"""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import opened
from support.races import meeting
from support.seed import add_account, add_tenants, add_users, damage, execute, scalar

from hoc.bulk.account_rows import COLUMNS, REQUIRED
from hoc.bulk.files import Rejection, Rows
from hoc.bulk.importing import import_accounts
from hoc.bulk.memberships import MEMBERSHIP_COLUMNS, import_memberships
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountUpdateRequest, SignInRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.L6_drivers.tables import metadata
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database

MARK = "xq7zmark"
PERSON, EMAIL = "usr_ada", f"{MARK}@example.com"
NEWCOMER = "usr_newcomer"
NOW = datetime(2026, 3, 14, tzinfo=UTC)
UNCLAIMED = f"""
    UPDATE account.users SET has_generated_id = true, is_claimed = false WHERE user_id = '{PERSON}'
"""
KEEPS_EMPTY = "ALTER TABLE account.users DROP CONSTRAINT ck_users_erased_is_empty"
ENGINES = postgres_engines(Options(), clock=lambda: NOW)


@dataclass(frozen=True, slots=True)
class Scene:
    """The person is a member of a tenant, has a ticket there, and is invited to another one."""

    database: Database
    url: str
    tenant_id: str
    owner: str
    other_tenant_id: str
    invitation_id: str
    token: str
    ticket_id: str


Work: TypeAlias = Callable[[Scene], Awaitable[None]]


async def prepared(database: Database, url: str) -> Scene:
    [owner] = await add_users(database, 1)
    tenant_id, other = await add_tenants(database, 2, {owner: "owner"})
    async with database.transaction() as session:
        await add_account(session, PERSON, EMAIL, email_verified=True, now=NOW)
        await ENGINES.acceptances.accept(session, *await invited(session, tenant_id, owner))
        invitation = await invited(session, other, owner)
        ticket = await ENGINES.support.create_ticket(
            session, tenant_id, PERSON, subject=MARK, description=MARK
        )
    return Scene(database, url, tenant_id, owner, other, *invitation, ticket.id)


async def invited(session: AsyncConnection, tenant_id: str, owner: str) -> tuple[str, str]:
    """The id and the token of an invitation to the person."""
    made = await ENGINES.invitations.invite(session, tenant_id, owner, email=EMAIL)
    issued = await issue_token(SqlInvitationMail(), session, tenant_id, made.id, now=NOW)
    assert issued is not None
    return made.id, issued[1]


async def erase(scene: Scene) -> None:
    await scene.database.transact(lambda session: ENGINES.erasure.erase_user(session, PERSON))


async def sign_in(scene: Scene) -> None:
    await create_account_service(scene.database).record_sign_in(PERSON, SignInRequest(MARK))


async def rename(scene: Scene) -> None:
    await create_account_service(scene.database).update_account_profile(
        PERSON, AccountUpdateRequest(name=MARK)
    )


async def change_address(scene: Scene) -> None:
    await create_account_service(scene.database).update_own_profile(
        PERSON, AccountUpdateRequest(email=f"{MARK}2@example.com")
    )


async def change_own_profile(scene: Scene) -> None:
    await scene.database.transact(
        lambda session: ENGINES.profiles.update(session, PERSON, display_name=MARK, preferences={MARK: MARK})
    )


async def ensure_again(scene: Scene) -> None:
    await ensure(scene, PERSON)


async def ensure(scene: Scene, subject: str) -> None:
    await create_account_service(scene.database).ensure_account(
        AccountEnsureRequest(subject, EMAIL, MARK, email_verified=True)
    )


async def import_membership(scene: Scene) -> None:
    await imported(scene, {"tenant_id": scene.other_tenant_id, "user_id": PERSON, "role": "member"})


async def imported(scene: Scene, row: dict[str, str]) -> None:
    """A row that the import rejects is in no database either."""
    file = io.StringIO()
    writer = csv.DictWriter(file, row)
    writer.writeheader()
    writer.writerow(row)
    rejected: list[Rejection] = []
    is_account = "email" in row
    required, known = (REQUIRED, COLUMNS) if is_account else (MEMBERSHIP_COLUMNS, MEMBERSHIP_COLUMNS)
    content: Any = io.BufferedReader(io.BytesIO(file.getvalue().encode()))
    rows = Rows(content, "-.csv", required=required, known=known)
    await (import_accounts if is_account else import_memberships)(
        scene.url, rows, report=rejected.append, progress=lambda _: None
    )


async def accept(scene: Scene) -> None:
    await scene.database.transact(
        lambda session: ENGINES.acceptances.accept(session, scene.invitation_id, scene.token)
    )


async def open_ticket(scene: Scene) -> None:
    await scene.database.transact(
        lambda session: ENGINES.support.create_ticket(
            session, scene.tenant_id, PERSON, subject=MARK, description=MARK
        )
    )


async def reply(scene: Scene) -> None:
    await scene.database.transact(
        lambda session: ENGINES.support.reply(session, scene.tenant_id, scene.ticket_id, PERSON, text=MARK)
    )


async def resend(scene: Scene) -> None:
    await scene.database.transact(
        lambda session: ENGINES.invitations.resend(
            session, scene.other_tenant_id, scene.owner, scene.invitation_id
        )
    )


RIVALS: list[Work] = [
    sign_in,
    rename,
    change_address,
    change_own_profile,
    ensure_again,
    import_membership,
    accept,
    open_ticket,
    reply,
    resend,
]


async def refused_or_done(scene: Scene, work: Work) -> None:
    with suppress(AccountsError):
        try:
            await work(scene)
        except UnavailableError:
            pytest.fail("the erasure and its rival have locked each other out")


async def meet(scene: Scene, *works: Work) -> None:
    """Start the works in this order while the person's row is locked, and let them go on together."""
    row = f"SELECT FROM account.users WHERE user_id = '{PERSON}' FOR UPDATE"
    async with meeting(scene.url, row) as held:
        tasks = [await held.join(refused_or_done(scene, work)) for work in works]
    await asyncio.gather(*tasks)


async def meet_before_commit(scene: Scene, *rivals: Work) -> None:
    """Start the rivals when the erasure has done all but commit."""
    async with meeting(scene.url, "SELECT") as held:
        async with scene.database.transaction() as session:
            await ENGINES.erasure.erase_user(session, PERSON)
            tasks = [await held.join(refused_or_done(scene, rival)) for rival in rivals]
        await asyncio.gather(*tasks)


async def marked_tables(database: Database) -> list[str]:
    found: list[str] = []
    async with database.transaction() as session:
        for table in metadata.sorted_tables:
            one = text(f"SELECT EXISTS (SELECT FROM {table.fullname} AS t WHERE t::text LIKE :mark)")
            if await session.scalar(one, {"mark": f"%{MARK}%"}):
                found.append(table.name)
    return found


@pytest.mark.parametrize("is_erased_first", [False, True])
@pytest.mark.parametrize("rival", RIVALS)
async def test_nothing_of_an_erased_person_stays(
    fresh_database_url: str, rival: Work, *, is_erased_first: bool
) -> None:
    async with opened(fresh_database_url) as database:
        scene = await prepared(database, fresh_database_url)
        await meet(scene, *((erase, rival) if is_erased_first else (rival, erase)))
        assert await marked_tables(database) == []
        assert await damage(database) == []
        last = "SELECT type FROM account.outbox WHERE user_id = :user_id ORDER BY position DESC LIMIT 1"
        assert await scalar(database, last, user_id=PERSON) == "user.erased"


async def test_nothing_comes_up_before_the_erasure_commits(fresh_database_url: str) -> None:
    async with opened(fresh_database_url, pool_size=len(RIVALS) + 1) as database:
        scene = await prepared(database, fresh_database_url)
        await meet_before_commit(scene, *RIVALS)
        assert await marked_tables(database) == []
        assert await damage(database) == []


async def ensure_newcomer(scene: Scene) -> None:
    await ensure(scene, NEWCOMER)


async def import_newcomer(scene: Scene) -> None:
    await imported(scene, {"user_id": NEWCOMER, "email": EMAIL, "name": MARK})


async def rival_first(scene: Scene, rival: Work) -> None:
    await meet(scene, rival, erase)


async def erased_first(scene: Scene, rival: Work) -> None:
    await meet(scene, erase, rival)


@pytest.mark.parametrize(
    ("order", "rival", "is_unclaimed"),
    [
        (rival_first, ensure_newcomer, False),
        (erased_first, ensure_newcomer, False),
        (rival_first, ensure_newcomer, True),
        (erased_first, ensure_newcomer, True),
        (rival_first, import_newcomer, False),
        (meet_before_commit, import_newcomer, False),
    ],
)
async def test_who_takes_the_address_is_somebody_else(
    fresh_database_url: str,
    order: Callable[[Scene, Work], Awaitable[None]],
    rival: Work,
    *,
    is_unclaimed: bool,
) -> None:
    """The newcomer is refused, or claims the account before it is erased, or has a new one after."""
    async with opened(fresh_database_url) as database:
        scene = await prepared(database, fresh_database_url)
        if is_unclaimed:
            await execute(database, UNCLAIMED)
        await order(scene, rival)
        assert await scalar(database, "SELECT erased_at FROM account.users WHERE user_id = :id", id=PERSON)
        assert await damage(database) == []
        has_account = "SELECT EXISTS (SELECT FROM account.users WHERE user_id = :id)"
        assert await scalar(database, has_account, id=NEWCOMER) is (order is not rival_first)
        linked = "SELECT count(*) FROM account.linked_identities WHERE user_id = :id"
        assert await scalar(database, linked, id=PERSON) == 0
        newcomers = {"users", "outbox"} if order is not rival_first else set[str]()
        assert {*await marked_tables(database)} == newcomers
        marked = "SELECT count(*) FROM account.outbox WHERE payload::text LIKE :mark AND user_id = :id"
        assert await scalar(database, marked, id=PERSON, mark=f"%{MARK}%") == 0


async def test_without_its_constraint_a_late_sign_in_stays(fresh_database_url: str) -> None:
    async with opened(fresh_database_url) as database:
        scene = await prepared(database, fresh_database_url)
        await execute(database, KEEPS_EMPTY)
        await meet(scene, erase, sign_in)
        assert "users" in await marked_tables(database)
