"""Hooks behind HTTP: the host's rows, hoc's change and its event are stored together or not at all."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import event as on
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from support.console import Console, ConsoleOn, Headers, problem_of
from support.postgres import TestServer
from support.statements import recorded_statements
from support.world import Team

from hoc.cus.account.L5_engines.hooks import Hooks
from hoc.cus.account.L5_schemas.errors import LimitExceededError
from hoc.cus.account.L5_schemas.events import TicketCreatedEventData
from hoc.cus.account.L6_drivers.hooks import SqlWrittenEvents

TICKET = {"subject": "S", "description": "D"}
NOTE = text("INSERT INTO host_notes (tenant_id) VALUES (:tenant_id)")
DEADLOCK = text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")

Act = Callable[[AsyncSession, TicketCreatedEventData], Awaitable[None]]


async def succeed(_session: AsyncSession, _event: TicketCreatedEventData) -> None:
    pass


class Host:
    """Notes the tenant of each new ticket in a table of its own, and then does ``act``."""

    def __init__(self) -> None:
        self.act: Act = succeed
        self.calls = 0

    async def __call__(self, session: AsyncSession, event: TicketCreatedEventData) -> None:
        self.calls += 1
        await session.execute(NOTE, {"tenant_id": event.tenant_id})
        await self.act(session, event)


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.fixture(scope="module")
async def console(postgres_server: TestServer, console_on: ConsoleOn, host: Host) -> AsyncGenerator[Console]:
    async with (
        postgres_server.new_database() as url,
        console_on(url, hooks={"ticket.created": host}) as console,
    ):
        async with console.database.transaction() as session:
            await session.execute(text("CREATE TABLE host_notes (tenant_id text NOT NULL)"))
        yield console


@pytest.fixture(autouse=True)
def _reset(host: Host) -> None:
    host.act, host.calls = succeed, 0


async def stored(console: Console, team: Team) -> tuple[int, int, int]:
    """The numbers of the tenant's tickets, their events, and the host's notes of them."""
    async with console.database.reading() as session:
        row = await session.execute(
            text(
                "SELECT (SELECT count(*) FROM account.support_tickets WHERE tenant_id = :tenant_id),"
                " (SELECT count(*) FROM account.outbox WHERE tenant_id = :tenant_id"
                "  AND type = 'ticket.created'),"
                " (SELECT count(*) FROM host_notes WHERE tenant_id = :tenant_id)"
            ),
            {"tenant_id": team.tenant_id},
        )
    tickets, events, notes = row.all()[0]
    return tickets, events, notes


async def test_one_statement_and_its_hook_are_a_transaction(
    console: Console, team: Team, headers: Headers, host: Host
) -> None:
    given: list[Any] = []

    async def keep(session: AsyncSession, event: TicketCreatedEventData) -> None:
        given.extend([session, event])

    host.act = keep
    made = await console.client.post("/support/tickets", json=TICKET, headers=headers)
    assert made.status_code == 201
    assert [type(each) for each in given] == [AsyncSession, TicketCreatedEventData]
    assert given[1].ticket_id == made.json()["id"]
    assert await stored(console, team) == (1, 1, 1)


async def _refuse(_session: AsyncSession, _event: TicketCreatedEventData) -> None:
    raise LimitExceededError("All seats are taken.", code="no_seat", retry_after=60)


async def _break(_session: AsyncSession, _event: TicketCreatedEventData) -> None:
    raise KeyError("a bug of the host")


async def _time_out(_session: AsyncSession, _event: TicketCreatedEventData) -> None:
    raise TimeoutError


async def _hide_an_error(session: AsyncSession, _event: TicketCreatedEventData) -> None:
    """PostgreSQL would answer COMMIT by rolling back, and tell nobody."""
    with suppress(DBAPIError):
        await session.execute(text("SELECT 1 / 0"))


async def _commit_and_break(session: AsyncSession, _event: TicketCreatedEventData) -> None:
    await session.commit()
    raise KeyError("after a commit of its own")


async def _roll_back(session: AsyncSession, _event: TicketCreatedEventData) -> None:
    await session.rollback()


@pytest.mark.parametrize("act", [_refuse, _break, _time_out, _hide_an_error, _commit_and_break, _roll_back])
async def test_a_failing_hook_undoes_everything(
    console: Console, team: Team, headers: Headers, host: Host, act: Act
) -> None:
    host.act = act
    keyed = {**headers, "Idempotency-Key": "one"}
    refused = await console.client.post("/support/tickets", json=TICKET, headers=keyed)
    assert refused.status_code == (429 if act is _refuse else 500)
    if act is _refuse:
        assert problem_of(refused)["code"] == "no_seat"
        assert refused.headers["Retry-After"] == "60"
    assert host.calls == 1, "nothing is tried again"
    assert await stored(console, team) == (0, 0, 0)
    host.act = succeed
    repeated = await console.client.post("/support/tickets", json=TICKET, headers=keyed)
    assert repeated.status_code == 201
    assert await stored(console, team) == (1, 1, 1)


async def test_after_a_lost_deadlock_all_is_done_once(
    console: Console, team: Team, headers: Headers, host: Host
) -> None:
    async def lose_once(session: AsyncSession, _event: TicketCreatedEventData) -> None:
        if host.calls == 1:
            await session.execute(DEADLOCK)

    host.act = lose_once
    made = await console.client.post("/support/tickets", json=TICKET, headers=headers)
    assert made.status_code == 201
    assert host.calls == 2
    assert await stored(console, team) == (1, 1, 1)


async def test_a_connection_lost_at_any_statement_leaves_nothing(
    console: Console, team: Team, headers: Headers
) -> None:
    """Each statement of the transaction in turn is replaced by one that ends its connection."""
    engine, at, sent = console.database.engine.sync_engine, 0, list[str]()

    def end_connection(
        _connection: object, _cursor: object, sql: str, parameters: Any, _context: object, _many: object
    ) -> tuple[str, Any]:
        sent.append(sql)
        if len(sent) == at:
            return "SELECT pg_terminate_backend(pg_backend_pid())", ()
        return sql, parameters

    on.listen(engine, "before_cursor_execute", end_connection, retval=True)
    try:
        for at in range(1, 10):
            sent.clear()
            answer = await console.client.post("/support/tickets", json=TICKET, headers=headers)
            if len(sent) < at:
                assert answer.status_code == 201
                break
            assert answer.status_code == 503, sent[-1]
            assert await stored(console, team) == (0, 0, 0), sent[-1]
    finally:
        on.remove(engine, "before_cursor_execute", end_connection)
    assert await stored(console, team) == (1, 1, 1)
    assert [sql.split()[0] for sql in sent] == ["SAVEPOINT", "SELECT", "WITH", "SELECT", "INSERT", "RELEASE"]


async def test_others_events_of_the_same_moment_call_no_hook(console: Console, team: Team) -> None:
    """They are committed, and so visible, before the hooked operation reads its own."""
    seen: list[TicketCreatedEventData] = []

    async def see(_session: AsyncSession, event: TicketCreatedEventData) -> None:
        seen.append(event)

    hooks, other = Hooks({"ticket.created": see}, SqlWrittenEvents()), await console.team()
    create = console.facade.support.create_ticket
    async with console.transaction() as session, hooks.within(session, ["ticket.created"]):
        async with session.begin_nested():
            await create(session, team.tenant_id, team.owner, subject="S", description="D")
        async with console.transaction() as rival:
            await create(rival, other.tenant_id, other.owner, subject="S", description="D")
    assert [event.tenant_id for event in seen] == [team.tenant_id]


async def test_operations_without_a_hook_send_what_they_sent(console: Console, headers: Headers) -> None:
    """An invitation is one statement, with no transaction around it."""
    body = {"email": console.new_email()}
    with recorded_statements(console.database) as sent:
        invited = await console.client.post("/users/invite", json=body, headers=headers)
    assert invited.status_code == 201
    writing = [sql for sql in sent if "outbox" in sql]
    assert len(writing) == 1
    assert not any(sql.startswith(("SAVEPOINT", "BEGIN")) for sql in sent)
