"""The load: users who are created, changed and deleted, and tenants with constant changes.

One worker writes to each of them, and sends the next write once the one before has an answer or a timeout, so
that their order is known. A write carries its number as a mark, by which the database and events identify it.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import asyncpg
from client import Client, Request
from ledger import Kind, marked

from hoc.cus.account.L5_schemas.values import Role

ACCOUNTS: Final = "/api/v1/accounts"
CONSOLE: Final = "/accounts"
WRITES_OF_A_PERSON: Final = (20, 300)
THINK_SECONDS: Final = 0.03
ROLES: Final = (Role.MEMBER, Role.ADMIN, Role.VIEWER)  # a member joins with the last
JOIN: Final = """
    WITH joined AS (
        INSERT INTO account.memberships (tenant_id, user_id, role) VALUES ($1, $2, 'viewer') RETURNING *
    ), seated AS (
        UPDATE account.tenants SET max_members = 1000000 WHERE tenant_id = $1
    )
    UPDATE account.member_counts SET members = members + 1
    FROM joined WHERE member_counts.tenant_id = joined.tenant_id AND member_counts.role = joined.role"""


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: str
    owner: str
    member: str


class Load:
    def __init__(self, client: Client, database_url: str) -> None:
        self._client = client
        self._database_url = database_url
        self._is_over = False

    def stop(self) -> None:
        """End every worker after its current write."""
        self._is_over = True

    async def people(self, worker: int) -> None:
        """Create, change and delete one person after another."""
        for count in itertools.count():
            if self._is_over:
                return
            await self._run_person(f"person-{worker}-{count}")

    async def create_tenant(self, name: str) -> Tenant:
        """Create a tenant with an owner and a member. PostgreSQL must be up."""
        owner, member = f"{name}-owner", f"{name}-member"
        for user_id in (owner, member):
            await self._ensure(user_id, 0)
        request = Request("POST", f"{CONSOLE}/projects", {"name": name}, owner, idempotency_key=name)
        response, _ = await self._client.answered(request)
        tenant = Tenant(response.json()["project_id"], owner, member)
        await self._join(tenant)
        return tenant

    async def manage(self, tenant: Tenant) -> None:
        """Change one tenant for the whole run, across all kills."""
        roles = itertools.cycle(ROLES)
        for number in itertools.count():
            if self._is_over:
                return
            match random.randrange(3):
                case 0:
                    await self._open_ticket(tenant, number)
                case 1:
                    await self._invite(tenant, number)
                case _:
                    await self._change_role(tenant, number, next(roles))
            await asyncio.sleep(THINK_SECONDS * random.random())

    async def _run_person(self, user_id: str) -> None:
        numbers = itertools.count()
        await self._ensure(user_id, next(numbers))
        for _ in range(random.randint(*WRITES_OF_A_PERSON)):
            if self._is_over:
                return
            await random.choice((self._rename, self._rename, self._prefer, self._pause))(user_id, numbers)
            await asyncio.sleep(THINK_SECONDS * random.random())
        number = next(numbers)
        request = Request("DELETE", f"{ACCOUNTS}/profile/{user_id}?reason={marked(number)}")
        await self._client.repeated(user_id, number, Kind.DELETE, request)

    async def _ensure(self, user_id: str, number: int) -> None:
        body = {"user_id": user_id, "email": f"{user_id}@example.com", "name": marked(number)}
        request = Request("POST", f"{ACCOUNTS}/ensure", body)
        await self._client.repeated(user_id, number, Kind.ENSURE, request)

    async def _rename(self, user_id: str, numbers: Iterator[int]) -> None:
        number = next(numbers)
        body = {"display_name": marked(number), "preferences": {marked(number): True}}
        request = Request("PUT", f"{CONSOLE}/profile", body, user_id)
        await self._client.once(user_id, number, Kind.RENAME, request)

    async def _prefer(self, user_id: str, numbers: Iterator[int]) -> None:
        number = next(numbers)
        request = Request("PUT", f"{ACCOUNTS}/preferences/{user_id}", {marked(number): True})
        await self._client.once(user_id, number, Kind.PREFERENCES, request)

    async def _pause(self, user_id: str, numbers: Iterator[int]) -> None:
        """Deactivate and reactivate. Repeats until certain, because an inactive user cannot write."""
        for is_active in (False, True):
            number = next(numbers)
            body = {"is_active": is_active, "reason": marked(number)}
            request = Request("PUT", f"{ACCOUNTS}/status/{user_id}", body)
            await self._client.repeated(user_id, number, Kind.STATUS, request)

    async def _open_ticket(self, tenant: Tenant, number: int) -> None:
        body = {"subject": marked(number), "description": "It broke."}
        await self._post(tenant, number, Kind.TICKET, "/support/tickets", body)

    async def _invite(self, tenant: Tenant, number: int) -> None:
        body = {"email": f"{marked(number)}@{tenant.owner}.example.com"}
        await self._post(tenant, number, Kind.INVITE, "/users/invite", body)

    async def _post(self, tenant: Tenant, number: int, kind: Kind, path: str, body: dict[str, str]) -> None:
        request = Request(
            "POST", CONSOLE + path, body, tenant.owner, tenant.tenant_id, idempotency_key=marked(number)
        )
        await self._client.repeated(tenant.tenant_id, number, kind, request)

    async def _change_role(self, tenant: Tenant, number: int, role: Role) -> None:
        path = f"{CONSOLE}/users/{tenant.member}/role"
        request = Request("PUT", path, {"role": role}, tenant.owner, tenant.tenant_id)
        await self._client.repeated(tenant.tenant_id, number, Kind.ROLE, request)

    async def _join(self, tenant: Tenant) -> None:
        """Add the member, and seats, by SQL: an invitation's token is in a mail. There is no event."""
        connection = await asyncpg.connect(self._database_url)
        try:
            await connection.execute(JOIN, tenant.tenant_id, tenant.member)
        finally:
            await connection.close()
