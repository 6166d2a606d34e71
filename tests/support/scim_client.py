"""A tenant's directory in process, as its SCIM client calls it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from starlette.routing import Mount, Router
from support.console import HOST, Console

PATH: Final = "/scim/v2"
MEDIA_TYPE: Final = "application/scim+json"
USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK: Final = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SEARCH: Final = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"


@dataclass(frozen=True)
class ScimClient:
    """Calls with a token of a tenant, which has an owner and a proved domain."""

    console: Console
    http: httpx.AsyncClient
    tenant_id: str
    owner: str
    domain: str
    token: str

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer. ``body`` is sent as JSON, or as it is if it is bytes."""
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": MEDIA_TYPE, **(headers or {})}
        content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.http.request(
            method, path, params=params, headers=given, **({} if body is None else content)
        )

    async def done(self, method: str, path: str, body: object = None, **given: Any) -> Any:
        """The JSON of an answer that is no refusal."""
        answer = await self.call(method, path, body, **given)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def create_user(self, name: str, **attributes: Any) -> dict[str, Any]:
        """A user with this name, whose address is in the proved domain unless another is given."""
        email = {"value": f"{name}@{self.domain}", "type": "work", "primary": True}
        body = {"schemas": [USER], "userName": name, "emails": [email], **attributes}
        created: dict[str, Any] = await self.done("POST", "/Users", body)
        return created

    async def create_group(self, name: str, *members: str) -> dict[str, Any]:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": each} for each in members]}
        created: dict[str, Any] = await self.done("POST", "/Groups", body)
        return created

    async def patch(self, path: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        patched: dict[str, Any] = await self.done("PATCH", path, body)
        return patched

    async def everything(self) -> Any:
        """All that the client can see of its directory."""
        return await self.done("GET", "/", params={"sortBy": "id"})

    async def person(self, name: str) -> str:
        """An account that has verified an address in the proved domain; returns its id."""
        return await self.console.add_user(f"{name}@{self.domain}")

    async def role_of(self, user_id: str) -> str | None:
        return await self.console.role_of(self.tenant_id, user_id)


@asynccontextmanager
async def scim_http(console: Console) -> AsyncGenerator[httpx.AsyncClient]:
    application = Router([Mount(PATH, console.served.scim_app)])
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"{HOST}{PATH}") as http:
        yield http


async def scim_client(console: Console, http: httpx.AsyncClient, *, seats: int | None = None) -> ScimClient:
    """A new tenant with a proved domain, and a token of its own."""
    tenant_id, owner = await console.tenant(seats=seats)
    domain = f"{console.new_email().partition('@')[0]}.example.org"
    async with console.transaction() as session:
        await console.engines.domains.claim(session, tenant_id, owner, domain)
        await console.engines.domain_checks.record(session, tenant_id, domain, "found")
        made = await console.engines.scim_tokens.create(session, tenant_id, owner, name="Directory")
    return ScimClient(console, http, tenant_id, owner, domain, made.token)


async def use_every_operation(directory: ScimClient) -> None:
    """Users who are known and who are not, a group, and a search by each operator and each order."""
    await directory.person("ada")
    ada, eve = [(await directory.create_user(name))["id"] for name in ("ada", "eve")]
    group = (await directory.create_group("Engineers", ada))["id"]
    for kind, found in (("Users", ada), ("Groups", group)):
        await directory.done("GET", f"/{kind}/{found}")
        await directory.done("PUT", f"/{kind}/{found}", await directory.done("GET", f"/{kind}/{found}"))
    await directory.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": eve}]})
    for is_active in (False, True):
        await directory.patch(f"/Users/{ada}", {"op": "replace", "path": "active", "value": is_active})
    for params in (
        {"filter": 'userName eq "ada" or not (displayName sw "a" and externalId pr)'},
        {"filter": 'emails[type eq "work" and value co "example"]', "sortBy": "emails"},
        {"filter": 'meta.created gt "2020-01-01T00:00:00Z"', "sortBy": "userName", "sortOrder": "descending"},
        {"startIndex": "2", "count": "1"},
    ):
        await directory.done("GET", "/Users", params=params)
    first = await directory.done("GET", "/Users", params={"cursor": "", "count": "1"})
    await directory.done("GET", "/Users", params={"cursor": first["nextCursor"], "count": "1"})
    await directory.done("GET", "/Groups", params={"filter": f'members.value eq "{ada}"'})
    await directory.everything()
    for path in (f"/Users/{eve}", f"/Groups/{group}", f"/Users/{ada}"):
        await directory.done("DELETE", path)


def scim_refusal(answer: httpx.Response) -> str:
    """The detail of a SCIM error, its declared shape checked (RFC 7644, section 3.12)."""
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    error: dict[str, Any] = answer.json()
    assert error["schemas"] == [ERROR]
    assert error["status"] == str(answer.status_code)
    detail: str = error["detail"]
    assert detail
    return detail
