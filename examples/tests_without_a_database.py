"""Tests of code that uses the facade, without a database: `pytest examples/tests_without_a_database.py`."""

# ruff: noqa: S101 - tests assert

import asyncio
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from hoc.cus.account.L5_engines.accounts_facade import AccountsErrorResult, AccountsFacade
from hoc.testing import MemoryDatabase, MemorySession, memory_facade

Session: TypeAlias = AsyncSession | MemorySession


async def onboard(
    accounts: AccountsFacade, session: Session, tenant_id: str, owner: str, *, newcomers: list[str]
) -> list[str]:
    """Your code: invite all newcomers, and return the refused addresses with the reasons."""
    refused: list[str] = []
    for email in newcomers:
        invited = await accounts.invite_user(session, tenant_id, owner, email=email)
        if isinstance(invited, AccountsErrorResult):
            refused.append(f"{email}: {invited.error}")
    return refused


def test_everybody_is_invited_once() -> None:
    """Hoc's rules apply: a second invitation of an address is refused, in any case."""

    async def scenario() -> None:
        database = MemoryDatabase()
        accounts = memory_facade(database)
        await database.add_user("ada", "ada@example.com", "Ada")
        async with database.transaction() as session:
            project = await accounts.projects.create(session, "ada", name="Analytical Engines")
            tenant_id = project.value.project_id
            refused = await onboard(
                accounts,
                session,
                tenant_id,
                "ada",
                newcomers=["bob@example.com", "BOB@example.com", "ada@example.com", "no address"],
            )
        assert refused == [
            "BOB@example.com: already_pending",
            "ada@example.com: already_member",
            "no address: invalid_input",
        ]

    asyncio.run(scenario())


def test_a_rollback_takes_the_invitations_back() -> None:
    """A memory session commits and rolls back like a database session."""

    async def scenario() -> None:
        database = MemoryDatabase()
        accounts = memory_facade(database)
        await database.add_user("ada", "ada@example.com")
        async with database.session() as session:
            project = await accounts.projects.create(session, "ada", name="Analytical Engines")
            tenant_id = project.value.project_id
            await session.commit()

            await onboard(accounts, session, tenant_id, "ada", newcomers=["bob@example.com"])
            await session.rollback()

            pending = await accounts.list_invitations(session, tenant_id, "ada")
        assert not isinstance(pending, AccountsErrorResult)
        assert pending.total == 0

    asyncio.run(scenario())
