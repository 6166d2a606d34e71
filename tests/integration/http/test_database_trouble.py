"""When the database cannot answer, hoc says so at once, does nothing by halves, and recovers by itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from support.console import Console, accounts_on, problem_of, serving

from hoc.database import Database

LISTS = ("/projects", "/users", "/tenant/users", "/invitations", "/support/tickets", "/billing/invoices")


@asynccontextmanager
async def patient(url: str, directory: Path, **settings: object) -> AsyncGenerator[tuple[Console, Database]]:
    """A console on a database of its own, and a second pool to make trouble from."""
    async with serving(*accounts_on(url, directory, **settings)) as console:
        beside = Database(url, pool_size=2)
        try:
            yield console, beside
        finally:
            await beside.close()


def assert_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def until(condition: str, database: Database) -> None:
    for _ in range(1_000):
        async with database.reading() as session:
            if await session.scalar(text(condition)):
                return
        await asyncio.sleep(0.01)
    pytest.fail(f"never came true: {condition}")


async def test_an_exhausted_pool_is_said_soon(fresh_database_url: str, tmp_path: Path) -> None:
    async with patient(fresh_database_url, tmp_path, pool_size=1) as (console, _):
        tenant_id, owner = await console.add_tenant()
        headers = console.as_(owner, tenant_id)
        async with console.database.transaction() as session:
            await session.execute(text("SELECT 1"))
            answers = await asyncio.wait_for(
                asyncio.gather(
                    console.client.get("/users", headers=headers),
                    console.client.put("/profile", json={"display_name": "Me"}, headers=headers),
                    console.client.post("/projects", json={"name": "Mine"}, headers=headers),
                ),
                timeout=10,  # far from the 30 s that a pool waits by default
            )
        for answer in answers:
            assert_unavailable(answer)
        assert (await console.client.get("/users", headers=headers)).status_code == 200


async def test_a_held_lock_ends_in_503(fresh_database_url: str, tmp_path: Path) -> None:
    accounts, keys = accounts_on(fresh_database_url, tmp_path, pool_size=2, statement_timeout_ms=200)
    async with serving(accounts, keys) as console:
        tenant_id, owner = await console.add_tenant()
        viewer = await console.add_member(tenant_id, owner, "viewer")
        headers = console.as_(owner, tenant_id)
        path, body = f"/users/{viewer}/role", {"role": "member"}
        async with console.database.transaction() as session:
            await session.execute(
                text("SELECT 1 FROM account.tenants WHERE tenant_id = :id FOR UPDATE"), {"id": tenant_id}
            )
            assert_unavailable(await console.client.put(path, json=body, headers=headers))
            assert (await console.client.get("/users", headers=headers)).status_code == 200
        unchanged = await console.client.get(f"/users/{viewer}", headers=headers)
        assert unchanged.json()["role"] == "viewer"
        assert (await console.client.put(path, json=body, headers=headers)).status_code == 200


async def test_a_database_that_takes_no_connections(fresh_database_url: str, tmp_path: Path) -> None:
    name = fresh_database_url.rpartition("/")[2]
    async with patient(fresh_database_url, tmp_path) as (console, beside):
        caller = console.as_("usr_1", "ten_1")
        async with beside.reading() as session:
            await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'))
            assert_unavailable(await console.client.get("/users", headers=caller))
            assert_unavailable(await console.client.post("/projects", json={"name": "Mine"}, headers=caller))
            await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'))
        assert (await console.client.get("/users", headers=caller)).status_code == 403


async def test_terminated_backends_make_no_wrong_answer(fresh_database_url: str, tmp_path: Path) -> None:
    async with patient(fresh_database_url, tmp_path, pool_size=3) as (console, beside):
        tenant_id, owner = await console.add_tenant()
        headers = console.as_(owner, tenant_id)
        async with console.database.transaction() as session:
            await console.engines.support.create_ticket(
                session, tenant_id, owner, subject="Help", description="Please."
            )
        right = {path: (await console.client.get(path, headers=headers)).json() for path in LISTS}
        acknowledged = 0
        for round_ in range(10):
            async with beside.reading() as session:
                await session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            for path in LISTS:
                answer = await console.client.get(path, headers=headers)
                if answer.is_error:
                    assert_unavailable(answer)
                else:
                    assert answer.json() == right[path]
            ticket = {"subject": f"Round {round_}", "description": "Please."}
            written = await console.client.post(
                "/projects", json={"name": ticket["subject"]}, headers=headers
            )
            if written.is_error:
                assert_unavailable(written)
            acknowledged += written.is_success
        # Broken connections are noticed once each: then everything is as before, without a restart.
        answers: list[httpx.Response] = []
        for _ in range(10):
            answers = [await console.client.get(path, headers=headers) for path in LISTS]
            if all(answer.is_success for answer in answers):
                break
        assert {path: answer.json() for path, answer in zip(LISTS, answers, strict=True)} == right
        memberships = (await console.client.get("/memberships", headers=headers)).json()
        assert memberships["total"] == acknowledged + 1


@pytest.mark.parametrize("route", ["POST /support/tickets", "PUT /profile", "GET /users"])
async def test_a_client_that_goes_away_leaves_all_or_nothing(
    fresh_database_url: str, tmp_path: Path, route: str
) -> None:
    """Cancelled while its statement waits for a lock; the one connection serves the next caller untouched."""
    async with patient(fresh_database_url, tmp_path, pool_size=1) as (console, beside):
        tenant_id, owner = await console.add_tenant()
        headers = console.as_(owner, tenant_id) | {"Idempotency-Key": "once"}
        method, _, path = route.partition(" ")
        bodies = {
            "POST /support/tickets": {"subject": "Help", "description": "Please."},
            "PUT /profile": {"display_name": "Gone"},
        }
        body = bodies.get(route)
        async with beside.transaction() as session:
            await session.execute(
                text(
                    "LOCK TABLE account.support_tickets, account.users, account.memberships"
                    " IN ACCESS EXCLUSIVE MODE"
                )
            )
            call = asyncio.create_task(console.client.request(method, path, json=body, headers=headers))
            await until(
                "SELECT count(*) > 0 FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
                beside,
            )
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            if method != "GET":  # a shared read is finished: others may be waiting for it
                await until(
                    "SELECT count(*) = 0 FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
                    beside,
                )
        profile = await console.client.get("/profile", headers=headers)
        assert profile.json()["name"] is None
        assert (await console.client.get("/support/tickets", headers=headers)).json()["total"] == 0
        again = await console.client.request(method, path, json=body, headers=headers)
        assert again.is_success
        assert "Current Checked out connections: 0" in console.database.engine.pool.status()


async def test_nothing_of_one_caller_reaches_the_next(fresh_database_url: str, tmp_path: Path) -> None:
    """One connection for all: after a commit, a refusal, a timeout and a defect it carries no state."""
    async with patient(fresh_database_url, tmp_path, pool_size=1) as (console, _):
        state = text(
            "SELECT current_setting('application_name'), current_setting('TimeZone'),"
            " current_setting('transaction_isolation'), current_setting('statement_timeout'),"
            " pg_current_xact_id_if_assigned()::text, (SELECT count(*) FROM pg_prepared_xacts),"
            " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid')"
        )

        async def current() -> tuple[object, ...]:
            async with console.database.reading() as session:
                return tuple((await session.execute(state)).all()[0])

        tenant_id, owner = await console.add_tenant()
        headers = console.as_(owner, tenant_id)
        fresh = await current()
        for method, path, body, status in (
            ("PUT", "/profile", {"display_name": "Me"}, 200),
            ("POST", "/projects", {"name": "x", "slug": "taken"}, 201),
            ("POST", "/projects", {"name": "x", "slug": "taken"}, 409),
            ("DELETE", f"/users/{owner}", None, 400),
            ("POST", "/tenant/leave", None, 409),
            ("GET", "/users", None, 200),
        ):
            answer = await console.client.request(method, path, json=body, headers=headers)
            assert answer.status_code == status
            assert await current() == fresh
