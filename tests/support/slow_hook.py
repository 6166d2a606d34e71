"""A hook that reads a row in hoc's transaction, and is slower than the server allows for an urgent ticket."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from hoc.cus.account.L5_schemas.events import TicketCreatedEventData

_READ = text("SELECT status FROM account.tenants LIMIT 1")


async def _read(session: AsyncSession, event: TicketCreatedEventData) -> None:
    await session.execute(_READ)
    if event.priority == "urgent":
        await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
        await asyncio.sleep(0.5)


HOOKS = {"ticket.created": _read}
