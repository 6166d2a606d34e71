"""A peer: the statements of the service that hoc replaces, raw on asyncpg. It has no authentication.

The statements are unchanged except for `email_key`, which hoc's table requires. The events, which that
service published outside the transaction, are left out.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BY_ID = "SELECT * FROM account.users WHERE user_id = $1 AND is_active = TRUE"
BY_EMAIL = "SELECT * FROM account.users WHERE email = $1 AND is_active = TRUE"
INSERT = """
    INSERT INTO account.users (user_id, email, email_key, name, is_active, preferences)
    VALUES ($1, $2, $2, $3, $4, $5)"""
LIST = "SELECT * FROM account.users WHERE is_active = $1 ORDER BY created_at DESC LIMIT $2 OFFSET $3"
SEARCH = """
    SELECT * FROM account.users WHERE (name ILIKE $1 OR email ILIKE $1) AND is_active = TRUE
    ORDER BY created_at DESC LIMIT $2"""
TOTAL = "SELECT COUNT(*) FROM account.users"
STATS = {
    "total_accounts": TOTAL,
    "active_accounts": f"{TOTAL} WHERE is_active = TRUE",
    "recent_registrations_7d": f"{TOTAL} WHERE created_at >= NOW() - INTERVAL '7 days'",
    "recent_registrations_30d": f"{TOTAL} WHERE created_at >= NOW() - INTERVAL '30 days'",
}
SUMMARY = ("user_id", "email", "name", "is_active", "created_at")
PROFILE = (*SUMMARY, "preferences", "updated_at")

pool: "asyncpg.Pool[Any]"


async def get_profile(request: Request) -> Response:
    row = await pool.fetchrow(BY_ID, request.path_params["user_id"])
    return Response(status_code=404) if row is None else answer(shown(row, PROFILE))


async def ensure(request: Request) -> Response:
    body = orjson.loads(await request.body())
    existing = await pool.fetchrow(BY_ID, body["user_id"])
    if existing is not None:
        return answer(shown(existing, PROFILE))
    if await pool.fetchrow(BY_EMAIL, body["email"]) is not None:
        return Response(status_code=400)
    await pool.execute(INSERT, body["user_id"], body["email"], body["name"], True, {})
    return answer(shown(await pool.fetchrow(BY_ID, body["user_id"]), PROFILE))


async def list_accounts(request: Request) -> Response:
    page, size = int(request.query_params["page"]), int(request.query_params["page_size"])
    rows = await pool.fetch(LIST, True, size, (page - 1) * size)
    return answer({"accounts": [shown(row, SUMMARY) for row in rows], "page": page, "page_size": size})


async def search(request: Request) -> Response:
    rows = await pool.fetch(SEARCH, f"%{request.query_params['query']}%", 50)
    return answer([shown(row, SUMMARY) for row in rows])


async def stats(_request: Request) -> Response:
    counts = await asyncio.gather(*(pool.fetchval(query) for query in STATS.values()))
    return answer(dict(zip(STATS, counts, strict=True)))


def shown(row: asyncpg.Record, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def answer(value: object) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
    global pool
    async with asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"], min_size=10, max_size=10, init=use_orjson
    ) as pool:
        yield


async def use_orjson(connection: "asyncpg.Connection[Any]") -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
    )


app = Starlette(
    routes=[
        Route("/accounts/profile/{user_id}", get_profile),
        Route("/accounts/ensure", ensure, methods=["POST"]),
        Route("/accounts", list_accounts),
        Route("/accounts/search", search),
        Route("/accounts/stats", stats),
    ],
    lifespan=lifespan,
)
