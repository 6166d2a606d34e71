"""The yardstick: Starlette, one raw statement on asyncpg, its rows encoded by orjson, and nothing else.

It authenticates no caller and checks no input. Where it sends hoc's own statement, it sends the same text.
"""

import os
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from statements import Statement

from hoc.cus.account.L6_drivers import account_inserts, invitation_sending, profiles

ACCOUNT = """
    SELECT user_id, email, name, is_active, preferences, created_at, updated_at
    FROM account.users WHERE user_id = $1 AND is_active"""
MEMBERS = """
    SELECT u.user_id, u.email, u.name, m.role, u.is_active, u.created_at, u.last_login_at
    FROM account.memberships m JOIN account.users u USING (user_id)
    WHERE m.tenant_id = $1 AND m.is_active ORDER BY m.joined_at, m.user_id LIMIT $2"""
MEMBERS_AFTER = MEMBERS.replace("ORDER BY", "AND (m.joined_at, m.user_id) > ($3, $4) ORDER BY")
ENSURE = Statement.of(account_inserts.ENSURE)
INVITE = Statement.of(invitation_sending.CREATE)
RENAME = Statement.of(profiles.UPDATE.statement("name"))
PREFER = Statement.of(profiles.UPDATE.statement("preferences"))

CONNECTIONS = 10  # hoc's default
ANY_LIMIT = 2**31 - 1

pool: "asyncpg.Pool[Any]"


async def account(request: Request) -> Response:
    return answer(await pool.fetchrow(ACCOUNT, request.path_params["user_id"]))


async def ensure_existing(request: Request) -> Response:
    body = orjson.loads(await request.body())
    return answer(await pool.fetchrow(ACCOUNT, body["user_id"]))


async def ensure(request: Request) -> Response:
    body = orjson.loads(await request.body())
    values = ENSURE.arguments(
        user_id=body["user_id"],
        email=body["email"],
        email_key=body["email"],
        name=body["name"],
        name_key=body["name"],
        email_verified=False,
        has_generated_id=False,
        now=datetime.now(UTC),
        actor="bench",
        shard=random.randrange(16),
    )
    return answer(await pool.fetchrow(ENSURE.sql, *values), 201)


async def members(request: Request) -> Response:
    tenant_id, after = request.path_params["tenant_id"], request.query_params
    if after:
        joined_at = datetime.fromisoformat(after["joined_at"])
        rows = await pool.fetch(MEMBERS_AFTER, tenant_id, 50, joined_at, after["user_id"])
    else:
        rows = await pool.fetch(MEMBERS, tenant_id, 50)
    return Response(orjson.dumps({"users": [dict(row) for row in rows]}), media_type="application/json")


async def invite(request: Request) -> Response:
    body = orjson.loads(await request.body())
    now = datetime.now(UTC)
    values = INVITE.arguments(
        tenant_id=request.path_params["tenant_id"],
        invited_by=request.path_params["user_id"],
        invitation_id=f"inv_{uuid4().hex}",
        mail_id=uuid4().hex,
        email=body["email"],
        email_key=body["email"],
        domain=body["email"].partition("@")[2],
        role="member",
        delivery="queued",
        granters=["owner", "admin"],
        now=now,
        expires_at=now + timedelta(days=7),
        day=now.date(),
        per_tenant=ANY_LIMIT,
        per_recipient=ANY_LIMIT,
    )
    return answer(await pool.fetchrow(INVITE.sql, *values), 201)


async def update_profile(request: Request) -> Response:
    body = orjson.loads(await request.body())
    return await update(request, RENAME, name=body["display_name"], name_key=body["display_name"])


async def update_preferences(request: Request) -> Response:
    return await update(request, PREFER, preferences=orjson.loads(await request.body()), max_bytes=16_384)


async def update(request: Request, statement: Statement, **new: object) -> Response:
    user_id = request.path_params["user_id"]
    values = statement.arguments(
        user_id=user_id, expected_version=None, now=datetime.now(UTC), actor=user_id, **new
    )
    return answer(await pool.fetchrow(statement.sql, *values))


def answer(row: "asyncpg.Record | None", status: int = 200) -> Response:
    if row is None:
        return Response(status_code=404)
    return Response(orjson.dumps(dict(row), option=orjson.OPT_UTC_Z), status, media_type="application/json")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
    global pool
    reset = None if os.environ["BENCH_RESETS"] == "1" else no_reset
    async with asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"],
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        init=use_orjson,
        reset=reset,
    ) as pool:
        yield


async def use_orjson(connection: "asyncpg.Connection[Any]") -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
        )


async def no_reset(_connection: "asyncpg.Connection[Any]") -> None:
    pass


app = Starlette(
    routes=[
        Route("/accounts/{user_id}", account),
        Route("/ensure-existing", ensure_existing, methods=["POST"]),
        Route("/ensure", ensure, methods=["POST"]),
        Route("/tenants/{tenant_id}/users", members),
        Route("/tenants/{tenant_id}/invite/{user_id}", invite, methods=["POST"]),
        Route("/profile/{user_id}", update_profile, methods=["PUT"]),
        Route("/preferences/{user_id}", update_preferences, methods=["PUT"]),
    ],
    lifespan=lifespan,
)
