"""Hooks in processes of their own: what `hoc serve --hooks` imports, and what is left when one is killed."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import httpx
import pytest
from support.command_line import HOC, data_directory, environment, hoc, refusal, serving
from support.documents import ROOT
from support.nats import NatsServer
from support.seed import add_users
from support.waiting import until

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database
from hoc.events.billing import INBOUND
from hoc.server.hooks import load_hooks

MODULE = """
called = []


async def joined(session, event):
    called.append(event)


hooks = {"member.joined": joined}
wrong = {"member.join": joined}
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere:hooks", "cannot be imported"),
        ("host_with_hooks:nothing", "cannot be imported"),
        ("host_with_hooks", "module:name"),
        ("host_with_hooks:called", "module:name"),
    ],
)
def test_what_is_no_dict_of_hooks_is_refused(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "host_with_hooks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ValueError, match=f"HOC_HOOKS: .*{said}"):
        load_hooks(name)


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    said, code = refusal("serve", "--hooks", "nowhere:hooks", "--data-dir", tmp_path)
    assert code == 1
    assert "HOC_HOOKS: 'nowhere:hooks' cannot be imported" in said
    assert not list(tmp_path.iterdir()), "nothing was started"


SERVED = """
from sqlalchemy import text

from hoc.cus.account.L5_schemas.errors import LimitExceededError

NOTE = text("INSERT INTO host_notes (user_id) VALUES (:user_id)")


async def created(session, event):
    await session.execute(NOTE, {"user_id": event.user_id})
    if event.user_id == "refused":
        raise LimitExceededError("All seats are taken.", code="no_seat", retry_after=60)


hooks = {"user.created": created}
"""
STORED = """
    SELECT coalesce(array_agg(user_id ORDER BY user_id), '{}') FROM host_notes
    UNION ALL SELECT coalesce(array_agg(user_id ORDER BY user_id), '{}') FROM account.users
    UNION ALL SELECT coalesce(array_agg(user_id ORDER BY user_id), '{}') FROM (
      SELECT user_id FROM account.outbox WHERE type = 'user.created'
      UNION ALL SELECT user_id FROM account.events WHERE type = 'user.created') AS created"""
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute("CREATE TABLE host_notes (user_id text NOT NULL)")
    yield connection
    await connection.close()


async def test_a_running_server_calls_its_hooks(
    fresh_database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "served_hooks.py").write_text(SERVED)
    variables = {"HOC_DATABASE_URL": fresh_database_url, "PYTHONPATH": str(tmp_path)}
    with data_directory() as data, serving(data, "--hooks", "served_hooks:hooks", **variables) as server:
        printed = hoc("token", "--user-id", "svc", "--scope", "accounts:write", "--data-dir", data)
        headers = {"Authorization": f"Bearer {printed.stdout.strip()}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            answers = [
                await client.post(
                    "/api/v1/accounts/ensure",
                    json={"user_id": user_id, "email": f"{user_id}@example.com", "name": "Ada"},
                )
                for user_id in ("refused", "taken")
            ]
    assert [answer.status_code for answer in answers] == [429, 201]
    assert answers[0].json()["code"] == "no_seat"
    assert [ids for [ids] in await connection.fetch(STORED)] == [["taken"]] * 3


RELAYED = """
from pathlib import Path

from sqlalchemy import text

NOTE = text("INSERT INTO host_notes (user_id) VALUES (:tenant_id)")


async def changed(session, event):
    await session.execute(NOTE, {"tenant_id": event.tenant_id})
    with Path(__file__).with_name("called").open("a") as called:
        print(event.tenant_id, event.plan, file=called)
    if event.plan == "enterprise":
        raise RuntimeError("not here")


hooks = {"tenant.subscription_changed": changed}
"""
PERIOD = {"current_period_start": "2026-03-01T00:00:00Z", "current_period_end": "2026-04-01T00:00:00Z"}
SUBSCRIBED = """
    SELECT array_agg(user_id) FROM host_notes
    UNION ALL SELECT array_agg(tenant_id) FROM account.subscriptions
    UNION ALL SELECT array_agg(message_id) FROM account.inbound_messages WHERE failures IS NULL"""


async def test_a_relay_calls_the_hooks_of_messages_that_it_handles(
    fresh_database_url: str, fresh_database: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """A hook that raises undoes what the handler did."""
    (tmp_path / "relayed_hooks.py").write_text(RELAYED)
    called = tmp_path / "called"
    tenants: list[str] = []
    for owner in await add_users(fresh_database, 2):
        async with fresh_database.transaction() as session:
            created = await postgres_engines(Options()).projects.create(session, owner, name="Tenant")
        tenants.append(created.value.project_id)
    variables = environment(
        HOC_DATABASE_URL=fresh_database_url, HOC_HOOKS="relayed_hooks:hooks", PYTHONPATH=str(tmp_path)
    )
    with NatsServer(tmp_path / "nats") as nats:
        async with nats.jetstream() as jetstream:
            await jetstream.add_stream(name="BILLING", subjects=[model.subject for model in INBOUND])
        for tenant_id, plan in zip(tenants, ("enterprise", "pro"), strict=True):
            data = {"tenant_id": tenant_id, "plan": plan, **PERIOD}
            await nats.publish("subscription.created", data, plan)
        command = [str(HOC), "relay", "--data-dir", str(tmp_path)]
        relay = await asyncio.create_subprocess_exec(
            *command, env=variables | {"HOC_NATS_URL": nats.url}, stderr=PIPE
        )

        async def is_handled() -> bool:
            handled = await connection.fetchval(
                "SELECT count(*) FROM account.inbound_messages WHERE failures IS NULL"
            )
            return bool(handled == 1 and len(set(called.read_text().splitlines())) == len(tenants))

        try:
            await until(is_handled)
        finally:
            relay.terminate()
            _, said = await relay.communicate()
    assert relay.returncode == 0, said
    calls = set(called.read_text().splitlines())
    assert calls == {f"{tenants[0]} enterprise", f"{tenants[1]} pro"}
    assert [ids for [ids] in await connection.fetch(SUBSCRIBED)] == [[tenants[1]], [tenants[1]], ["pro"]]


async def test_a_process_killed_at_any_statement_leaves_all_or_nothing(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    command = [sys.executable, "-m", "support.hook_process", fresh_database_url]
    variables = environment(PYTHONPATH=str(ROOT / "tests"))
    process = await asyncio.create_subprocess_exec(*command, env=variables, stdout=PIPE)
    printed, _ = await process.communicate()
    killed = [line.split() for line in printed.decode().splitlines()]
    words = " ".join(word for _, word in killed)
    assert words == "SAVEPOINT SELECT WITH SELECT INSERT RELEASE COMMIT end"

    async def is_alone() -> bool:
        return bool(await connection.fetchval(OTHERS) == 0)

    await until(is_alone)
    notes, accounts, events = [ids for [ids] in await connection.fetch(STORED)]
    assert notes == accounts == events
    assert set(accounts) - {killed[-2][0]} == {killed[-1][0]}, "a COMMIT that was sent may count"
