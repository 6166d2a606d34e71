"""Erasing a person while the person does something: whoever is first, nothing of the person stays.

The two are brought together by `support.races.meeting`: both wait before either may write.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import opened
from support.races import meeting
from support.seed import add_account, add_tenants, add_users, damage, execute, scalar

from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.identity import AccountUpdateRequest, SignInRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.L6_drivers.tables import metadata
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database

MARK = "xq7zmark"
PERSON, EMAIL = "usr_ada", f"{MARK}@example.com"
NOW = datetime(2026, 3, 14, tzinfo=UTC)
KEEPS_EMPTY = "ALTER TABLE account.users DROP CONSTRAINT ck_users_erased_is_empty"
ENGINES = postgres_engines(Options(), clock=lambda: NOW)


@dataclass(frozen=True, slots=True)
class Scene:
    """The person is a member of a tenant, has a ticket there, and is invited to another one."""

    database: Database
    tenant_id: str
    owner: str
    other_tenant_id: str
    invitation_id: str
    token: str
    ticket_id: str


async def prepared(database: Database) -> Scene:
    [owner] = await add_users(database, 1)
    tenant_id, other = await add_tenants(database, 2, {owner: "owner"})
    async with database.transaction() as session:
        await add_account(session, PERSON, EMAIL, email_verified=True, now=NOW)
        await ENGINES.acceptances.accept(session, *await invited(session, tenant_id, owner))
        invitation = await invited(session, other, owner)
        ticket = await ENGINES.support.create_ticket(
            session, tenant_id, PERSON, subject=MARK, description=MARK
        )
    return Scene(database, tenant_id, owner, other, *invitation, ticket.id)


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


RIVALS: list[Callable[[Scene], Awaitable[None]]] = [
    sign_in,
    rename,
    change_address,
    accept,
    open_ticket,
    reply,
    resend,
]


async def meet(scene: Scene, url: str, *works: Callable[[Scene], Awaitable[None]]) -> None:
    """Start the works in this order while the person's row is locked, and let them go on together."""

    async def refused_or_done(work: Callable[[Scene], Awaitable[None]]) -> None:
        with suppress(AccountsError):
            try:
                await work(scene)
            except UnavailableError:
                pytest.fail("the erasure and its rival have locked each other out")

    async with meeting(url, f"SELECT FROM account.users WHERE user_id = '{PERSON}' FOR UPDATE") as held:
        tasks = [await held.join(refused_or_done(work)) for work in works]
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
    fresh_database_url: str, rival: Callable[[Scene], Awaitable[None]], *, is_erased_first: bool
) -> None:
    async with opened(fresh_database_url) as database:
        scene = await prepared(database)
        await meet(scene, fresh_database_url, *((erase, rival) if is_erased_first else (rival, erase)))
        assert await marked_tables(database) == []
        assert await damage(database) == []
        last = "SELECT type FROM account.outbox WHERE user_id = :user_id ORDER BY position DESC LIMIT 1"
        assert await scalar(database, last, user_id=PERSON) == "user.erased"


async def test_without_its_constraint_a_late_sign_in_stays(fresh_database_url: str) -> None:
    async with opened(fresh_database_url) as database:
        scene = await prepared(database)
        await execute(database, KEEPS_EMPTY)
        await meet(scene, fresh_database_url, erase, sign_in)
        assert "users" in await marked_tables(database)
