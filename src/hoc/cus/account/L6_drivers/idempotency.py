"""Idempotency keys."""

from datetime import datetime

from sqlalchemy import LargeBinary, SmallInteger, String, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import IdempotencyKey, StoredResponse
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.tables import idempotency_keys

PRINCIPAL = param("principal", String)
ROUTE = param("route", String)
KEY = param("key", String)
REQUEST_HASH = param("request_hash", LargeBinary)

THIS = (
    (idempotency_keys.c.tenant_id == TENANT)
    & (idempotency_keys.c.principal == PRINCIPAL)
    & (idempotency_keys.c.route == ROUTE)
    & (idempotency_keys.c.key == KEY)
)

CLAIM = (
    insert(idempotency_keys)
    .values(
        tenant_id=TENANT, principal=PRINCIPAL, route=ROUTE, key=KEY, request_hash=REQUEST_HASH, created_at=NOW
    )
    .on_conflict_do_update(
        index_elements=list(idempotency_keys.primary_key),
        set_={"request_hash": REQUEST_HASH, "created_at": NOW, "status_code": None, "response": None},
        where=idempotency_keys.c.created_at < param("stale", DateTime(timezone=True)),
    )
    .returning(idempotency_keys.c.key)
)

FIND = select(
    idempotency_keys.c.request_hash, idempotency_keys.c.status_code, idempotency_keys.c.response
).where(THIS)

COMPLETE = (
    update(idempotency_keys)
    .where(THIS)
    .values(status_code=param("status_code", SmallInteger), response=param("response", LargeBinary))
    .returning(idempotency_keys.c.key)
)


class SqlIdempotencyKeys:
    async def claim(
        self, session: SqlSession, key: IdempotencyKey, request_hash: bytes, *, now: datetime, stale: datetime
    ) -> bool:
        row = await fetch_one(session, CLAIM, **_of(key), request_hash=request_hash, now=now, stale=stale)
        return row is not None

    async def find(self, session: SqlSession, key: IdempotencyKey) -> StoredResponse | None:
        row = await fetch_one(session, FIND, **_of(key))
        return None if row is None else StoredResponse(row.request_hash, row.status_code, row.response)

    async def complete(
        self, session: SqlSession, key: IdempotencyKey, *, status_code: int, body: bytes
    ) -> None:
        await fetch_one(session, COMPLETE, **_of(key), status_code=status_code, response=body)


def _of(key: IdempotencyKey) -> dict[str, str]:
    return {"tenant_id": key.tenant_id, "principal": key.principal, "route": key.route, "key": key.key}
