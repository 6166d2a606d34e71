"""A script with its own session and table. It commits an invitation and its own row together, or neither.

    HOC_DATABASE_URL=postgresql://… python examples/facade_script.py TENANT_ID OWNER_USER_ID

`hoc demo` prints both ids. The script leaves the table `example_seats` in the schema `public`.
"""

import asyncio
import os
import sys

from sqlalchemy import Column, MetaData, String, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from hoc.cus.account.L5_engines.accounts_facade import AccountsErrorResult, get_accounts_facade
from hoc.database import create_engine

seats = Table(
    "example_seats", MetaData(), Column("invitation_id", String, primary_key=True), Column("desk", String)
)


class NotInvitedError(Exception):
    """The invitation was refused; raising rolls the transaction back."""


async def reserve_seat(session: AsyncSession, tenant_id: str, caller: str, *, email: str, desk: str) -> str:
    """Invite somebody and reserve their desk, in the session's transaction."""
    invited = await get_accounts_facade().invite_user(session, tenant_id, caller, email=email)
    if isinstance(invited, AccountsErrorResult):
        raise NotInvitedError(f"{invited.error}: {invited.message}")
    await session.execute(insert(seats).values(invitation_id=invited.id, desk=desk))
    return invited.id


async def report(session: AsyncSession, tenant_id: str, caller: str, moment: str) -> None:
    """Print the number of pending invitations, and of the desks reserved for them."""
    listed = await get_accounts_facade().list_invitations(
        session, tenant_id, caller, status="pending", limit=100
    )
    if isinstance(listed, AccountsErrorResult):
        raise NotInvitedError(f"{listed.error}: {listed.message}")
    ids = [invitation.id for invitation in listed.invitations]
    reserved = await session.scalar(
        select(func.count()).select_from(seats).where(seats.c.invitation_id.in_(ids))
    )
    print(f"{moment}: {listed.total} pending, {reserved} desks")


async def main(tenant_id: str, caller: str) -> None:
    """Commit one reservation, roll back another, and try a third, which is refused."""
    engine = create_engine(os.environ["HOC_DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(seats.create, checkfirst=True)

    async with AsyncSession(engine) as session:
        await report(session, tenant_id, caller, "at first")

        await reserve_seat(session, tenant_id, caller, email="frida@example.com", desk="4-017")
        await session.commit()
        await report(session, tenant_id, caller, "committed")

        await reserve_seat(session, tenant_id, caller, email="gustav@example.com", desk="4-018")
        await session.rollback()
        await report(session, tenant_id, caller, "rolled back")

        try:
            await reserve_seat(session, tenant_id, caller, email="frida@example.com", desk="4-019")
        except NotInvitedError as refusal:
            print(refusal)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
