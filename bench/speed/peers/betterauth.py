"""A peer: better-auth-server, a rival product, with its organization plugin. Its tables are its own.

At its start it makes one organization with a hundred members. `POST /bench/owner` signs the owner in, and
tells its token and the organization's id.
"""

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from better_auth import BetterAuth, EmailAndPassword
from better_auth.adapters.sqlalchemy import SQLAlchemyAdapter
from better_auth.config import RateLimit
from better_auth.integrations.fastapi import BetterAuthFastAPI
from better_auth.plugins_ext.organization import OrganizationPlugin
from better_auth.types import AuthRequest, dump_json
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

MEMBERS = 100
MANY = 2**31 - 1

url = os.environ["BENCH_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
adapter = SQLAlchemyAdapter(create_async_engine(url, pool_size=10, max_overflow=0))
auth = BetterAuth(
    secret=secrets.token_hex(32),
    adapter=adapter,
    email_and_password=EmailAndPassword(enabled=True),
    rate_limit=RateLimit(enabled=False),
    plugins=[OrganizationPlugin(membership_limit=MANY, invitation_limit=MANY)],
)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    await adapter.create_tables()
    yield
    await adapter.engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(BetterAuthFastAPI(auth).router)


@app.post("/bench/owner")
async def owner() -> dict[str, str]:
    signed_up = await _post(
        "/sign-up/email", {"name": "Owner", "email": "owner@example.com", "password": secrets.token_hex(16)}
    )
    token = signed_up["token"]
    made = await _post("/organization/create", {"name": "Crowd", "slug": "crowd"}, token)
    for number in range(MEMBERS - 1):
        now = datetime.now(UTC)
        person = {"name": f"Person {number}", "email": f"person{number}@example.com", "emailVerified": True}
        user = await adapter.create("user", {**person, "createdAt": now, "updatedAt": now})
        member = {"organizationId": made["id"], "userId": user["id"], "role": "member", "createdAt": now}
        await adapter.create("member", member)
    return {"token": token, "organization": made["id"]}


async def _post(path: str, body: dict[str, str], token: str = "") -> dict[str, Any]:
    headers = {"content-type": "application/json", "origin": "http://localhost:8000"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    asked = AuthRequest(method="POST", path=path, headers=headers, query={}, body=dump_json(body))
    answer = await auth.handle(asked)
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's errors
        raise RuntimeError(f"{path}: {answer.status} {answer.body!r}")
    found: dict[str, Any] = answer.body
    return found
