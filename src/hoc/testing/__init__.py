"""The accounts domain in memory, for tests of code that uses the facade: no server, the same rules.

    import asyncio
    from hoc.testing import MemoryDatabase, invitation_token, memory_facade

    async def main() -> None:
        database = MemoryDatabase()
        accounts = memory_facade(database)
        await database.add_user("ada", "ada@example.com", "Ada")
        async with database.transaction() as session:
            created = await accounts.projects.create(session, "ada", name="Analytical Engines")
            tenant_id = created.value.project_id
            invited = await accounts.invite_user(session, tenant_id, "ada", email="bob@example.com")
            token = await invitation_token(session, tenant_id, invited.id)
            joined = await accounts.accept_invitation(session, invited.id, token)
        async with database.reading() as session:
            users = await accounts.list_users(session, tenant_id)
        assert joined.role == "member" and users.total == 2
        assert [event.type for event in database.events()][-2:] == ["invitation.accepted", "member.joined"]

    asyncio.run(main())

`memory_account_service` is the identity service on the same accounts as the facade. The code under test can
pass a `MemorySession` to the facade in place of an AsyncSession, and commit it and roll it back like one.
`MemoryDatabase.events` returns the committed events. To test at another time, give ``memory_facade`` a
``clock``. `RecordingPublisher` replaces NATS.
"""

from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.publisher import RecordingPublisher
from hoc.testing.wiring import (
    deliver_invitation,
    email_change_token,
    invitation_token,
    memory_account_service,
    memory_engines,
    memory_facade,
)

__all__ = [
    "MemoryDatabase",
    "MemorySession",
    "RecordingPublisher",
    "deliver_invitation",
    "email_change_token",
    "invitation_token",
    "memory_account_service",
    "memory_engines",
    "memory_facade",
]
