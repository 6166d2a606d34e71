"""The package that users' tests import: its exports, its example, its limits."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

import hoc.testing
from hoc.cus.account.L5_engines.accounts_facade import AccountsErrorResult, InvitationResult
from hoc.cus.account.L5_schemas.errors import ConflictError, InvalidInputError, NotFoundError
from hoc.events.message import Message
from hoc.events.publisher import MessageRefusedError, Publisher
from hoc.testing import (
    MemoryDatabase,
    RecordingPublisher,
    invitation_token,
    memory_engines,
    memory_facade,
)


def test_it_exports_its_documented_names() -> None:
    assert hoc.testing.__all__ == [
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
    assert all(hasattr(hoc.testing, name) for name in hoc.testing.__all__)


def test_its_example_runs_without_a_server_or_its_packages() -> None:
    """It runs as a program of its own, because the test run itself has imported those packages."""
    paragraphs = (hoc.testing.__doc__ or "").split("\n\n")
    example = textwrap.dedent("\n\n".join(part for part in paragraphs if part.startswith("    ")))
    check = 'import sys; assert not {"sqlalchemy", "asyncpg", "starlette", "nats"} & sys.modules.keys()'
    subprocess.run([sys.executable, "-c", f"{example}\n{check}\n"], check=True, timeout=60)


async def test_a_reading_session_does_not_write() -> None:
    database = MemoryDatabase()
    facade = memory_facade(database)
    await database.add_user("ada", "ada@example.com")
    async with database.reading() as session:
        with pytest.raises(RuntimeError, match="cannot write"):
            await facade.update_profile(session, "ada", display_name="Ada")


async def test_a_second_writer_in_one_task_is_refused() -> None:
    database = MemoryDatabase()
    engines = memory_engines(database)
    await database.add_user("ada", "ada@example.com")
    async with database.transaction() as session:
        await engines.projects.create(session, "ada", name="One")
        with pytest.raises(RuntimeError, match="Commit or roll back the other"):
            await database.add_user("bob", "bob@example.com")
    await database.add_user("bob", "bob@example.com")


async def test_a_writer_waits_for_the_one_before() -> None:
    database = MemoryDatabase()
    facade = memory_facade(database)
    await database.add_user("ada", "ada@example.com")
    first_wrote, first_may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.transaction() as session:
            await facade.update_profile(session, "ada", preferences={"a": 1})
            first_wrote.set()
            await first_may_end.wait()

    async def second() -> object:
        await first_wrote.wait()
        async with database.transaction() as session:
            asyncio.get_running_loop().call_soon(first_may_end.set)
            return await facade.update_profile(session, "ada", preferences={"b": 2})

    _, result = await asyncio.gather(first(), second())
    assert not isinstance(result, AccountsErrorResult)
    assert getattr(result, "preferences", None) == {"a": 1, "b": 2}


async def test_a_cancelled_writer_lets_go() -> None:
    database = MemoryDatabase()
    facade = memory_facade(database)
    await database.add_user("ada", "ada@example.com")
    wrote = asyncio.Event()

    async def writer() -> None:
        async with database.transaction() as session:
            await facade.update_profile(session, "ada", display_name="Ada")
            wrote.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(writer())
    await wrote.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with database.transaction() as session:
        profile = await facade.update_profile(session, "ada")
    assert not isinstance(profile, AccountsErrorResult)
    assert profile.display_name is None


async def test_a_session_of_another_database_is_refused() -> None:
    facade = memory_facade(MemoryDatabase())
    async with MemoryDatabase().transaction() as session:
        with pytest.raises(TypeError, match="another MemoryDatabase"):
            await facade.list_users(session, "ten_1")


async def test_users_are_added_once() -> None:
    database = MemoryDatabase()
    assert await database.add_user("ada", "Ada@example.com", "Ada") == "ada"
    for user_id, email in (("ada", "other@example.com"), ("bob", "ada@EXAMPLE.com")):
        with pytest.raises(ConflictError):
            await database.add_user(user_id, email)
    with pytest.raises(InvalidInputError):
        await database.add_user("eve", "no address")
    with pytest.raises(NotFoundError):
        await database.deactivate_user("nobody")
    await database.deactivate_user("ada", deleted=True)
    await database.add_user("bob", "ada@example.com")


async def test_a_user_added_in_a_session_goes_with_it() -> None:
    database = MemoryDatabase()
    async with database.session() as session:
        await database.add_user("ada", "ada@example.com", session=session)
        await session.rollback()
    await database.add_user("ada", "ada@example.com")


async def test_only_a_pending_invitation_has_a_token() -> None:
    database = MemoryDatabase()
    engines, facade = memory_engines(database), memory_facade(database)
    await database.add_user("ada", "ada@example.com")
    async with database.transaction() as session:
        tenant_id = (await engines.projects.create(session, "ada", name="One")).value.project_id
        invited = await facade.invite_user(session, tenant_id, "ada", email="bob@example.com")
        assert isinstance(invited, InvitationResult)
        token = await invitation_token(session, tenant_id, invited.id)
        assert token.startswith(f"{tenant_id}.")
        await engines.invitations.revoke(session, tenant_id, "ada", invited.id)
        with pytest.raises(NotFoundError):
            await invitation_token(session, tenant_id, invited.id)


async def test_events_are_a_copy_of_what_is_committed() -> None:
    database = MemoryDatabase()
    await database.add_user("ada", "ada@example.com", "Ada")
    [event] = database.events()
    assert (event.sequence, event.type, event.data["name"]) == (1, "user.created", "Ada")
    event.data.clear()
    await database.deactivate_user("ada", deleted=True)
    await database.add_user("bob", "bob@example.com")
    assert [event.data["user_id"] for event in database.events()] == ["ada", "ada", "bob"]


async def test_a_recording_publisher_keeps_what_it_does_not_refuse() -> None:
    one, other = (Message(event_id, "user.created", b"{}", {}) for event_id in ("1", "2"))
    recording = RecordingPublisher()
    publisher: Publisher = recording
    assert publisher.is_connected
    await publisher.publish(one)
    recording.refusing = lambda message: MessageRefusedError("too large") if message is other else None
    with pytest.raises(MessageRefusedError, match="too large"):
        await publisher.publish(other)
    await publisher.publish(one)
    assert recording.messages == [one, one]
