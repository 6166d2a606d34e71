"""A browser that opens the pages of a development server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.async_api import Browser, BrowserContext, Page
from support.servers import development_keys
from support.waiting import until

from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.embedded import DataDirectory
from hoc.mail.mailbox import DevelopmentMailbox

WIDE = (1440, 900)
NARROW = (360, 780)

SHOWN: Sequence[tuple[str, str]] = [
    # whose browser, the page; names in braces are the demo's
    ("nobody", "/sign-in"),
    ("nobody", "/nowhere"),
    ("stranger", "/"),
    ("owner", "{tenant}/members"),
    ("owner", "{tenant}/members?role=viewer&status=inactive"),
    ("owner", "{tenant}/members/{member}"),
    ("viewer", "{tenant}/members/{viewer}"),
    ("owner", "{tenant}/members/{member}/remove"),
    ("viewer", "{tenant}/leave"),
    ("admin", "{tenant}/invitations"),
    ("admin", "{tenant}/invitations/new"),
    ("admin", "{tenant}/invitations/inv_0/revoke"),
    ("viewer", "{tenant}/invitations"),
    ("admin", "{tenant}/invitations/many"),
    ("owner", "{tenant}/domains/{domain}"),
    ("owner", "{tenant}/domains"),
    ("owner", "{tenant}/domains/new"),
    ("owner", "{tenant}/domains/{domain}/remove"),
    ("owner", "{tenant}/scim"),
    ("owner", "{tenant}/scim/tokens/new"),
    ("owner", "{tenant}/scim/tokens/sct_0/revoke"),
    ("owner", "{tenant}/webhooks"),
    ("admin", "{tenant}/webhooks/new"),
    ("admin", "{tenant}/webhooks/{webhook}"),
    ("owner", "{tenant}/webhooks/{webhook}/change"),
    ("owner", "{tenant}/webhooks/{webhook}/secret"),
    ("owner", "{tenant}/webhooks/{webhook}/delete"),
    ("stranger", "/joinable-tenants"),
    ("owner", "{tenant}/project"),
    ("viewer", "{tenant}/project"),
    ("owner", "{tenant}/billing"),
    ("member", "{tenant}/tickets"),
    ("member", "{tenant}/tickets/new"),
    ("owner", "{tenant}/tickets/{ticket}"),
    ("viewer", "{tenant}/tickets/{ticket}"),
    ("owner", "{tenant}/audit"),
    ("owner", "{tenant}/members/{member}/offer-ownership"),
    ("owner", "/profile"),
    ("owner", "/profile/sign-in"),
    ("owner", "/profile/preferences"),
    ("owner", "/memberships"),
    ("owner", "/memberships/new"),
    ("owner", "/received-invitations"),
    ("owner", "/received-invitations/{tenant_id}/inv_0/decline"),
    ("nobody", "/invitations/inv_0"),
    ("nobody", "/email-changes"),
    ("operator", "/admin/accounts"),
    ("operator", "/admin/accounts?status=inactive"),
    ("operator", "/admin/accounts/{member}"),
    ("operator", "/admin/accounts/{member}/deactivate"),
    ("operator", "/admin/accounts/{member}/delete"),
    ("operator", "/admin/accounts/{member}/erase"),
    ("operator", "/admin/registrations"),
    ("operator", "/admin/tenants"),
    ("operator", "/admin/tenants/{tenant_id}"),
    ("operator", "/admin/tenants/{tenant_id}/suspended"),
    ("operator", "/admin/tenants/{tenant_id}/erase"),
    ("operator", "/admin/dead-letters"),
]
"""Every page that a GET opens, for the test of accessibility. Add yours.

What there is to show only after something has happened, and what a form answers, is in the tests beside it.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A development server with a demo tenant. ``demo`` is what `hoc demo --json` prints."""

    url: str
    directory: Path
    demo: dict[str, Any]

    @property
    def tenant_id(self) -> str:
        tenant_id: str = self.demo["tenant_id"]
        return tenant_id

    def user_id(self, role: str) -> str:
        """The demo's person of a role; ``stranger`` has no tenant, ``operator`` is the owner with a scope."""
        if role == "stranger":
            return "usr_stranger"
        user_id: str = self.demo["owner" if role == "operator" else role]["user_id"]
        return user_id

    async def mailed_path(self, email: str) -> str:
        """What the link in the mail to an address opens, once the mail is delivered."""
        mailbox = DevelopmentMailbox(DataDirectory(self.directory).mailbox)

        async def links() -> list[str]:
            return [mail.link for mail in mailbox.read() if mail.to == email]

        await until(links)
        link = urlsplit((await links())[-1])
        return f"{link.path}#{link.fragment}"

    def answered_ticket(self) -> str:
        """The id of the demo's ticket that support has answered, and that is not resolved."""
        asked = httpx.get(
            f"{self.url}/accounts/support/tickets?status=in_progress",
            headers={"Authorization": f"Bearer {self.demo['owner']['token']}"},
        )
        ticket_id: str = asked.json()["tickets"][0]["id"]
        return ticket_id

    def claimed_domain(self) -> str:
        """The demo's domain, which is claimed unless it is already."""
        httpx.post(
            f"{self.url}/accounts/domains",
            json={"domain": "acme.example"},
            headers={"Authorization": f"Bearer {self.demo['owner']['token']}"},
        )
        return "acme.example"

    def created_webhook(self) -> str:
        """The id of a new webhook endpoint of the demo."""
        made = httpx.post(
            f"{self.url}/accounts/webhooks",
            json={"url": "https://hooks.example.com/a/receiver/with/a/rather/long/path"},
            headers={"Authorization": f"Bearer {self.demo['owner']['token']}"},
        )
        endpoint_id: str = made.json()["endpoint_id"]
        return endpoint_id

    def path(self, pattern: str) -> str:
        """A path with the demo's ids in place of their names in braces."""
        ids = {role: self.user_id(role) for role in ("owner", "admin", "member", "viewer")}
        if "{ticket}" in pattern:
            ids["ticket"] = self.answered_ticket()
        if "{domain}" in pattern:
            ids["domain"] = self.claimed_domain()
        if "{webhook}" in pattern:
            ids["webhook"] = self.created_webhook()
        return pattern.format(tenant=f"/projects/{self.tenant_id}", tenant_id=self.tenant_id, **ids)


@dataclass(slots=True)
class Visits:
    """Opens pages, each in a browser context of its own."""

    browser: Browser
    site: Site
    errors: list[str] = field(default_factory=list[str])
    _contexts: list[BrowserContext] = field(default_factory=list[BrowserContext])

    async def as_role(self, role: str, pattern: str, **options: Any) -> Page:
        """A page of the demo, as one of its people; ``nobody`` is signed out."""
        user_id = None if role == "nobody" else self.site.user_id(role)
        if role == "operator":
            options["scopes"] = ADMINS
        return await self.as_user(user_id, self.site.path(pattern), **options)

    async def as_user(
        self,
        user_id: str | None,
        path: str,
        *,
        size: tuple[int, int] = WIDE,
        scripts: bool = True,
        scopes: tuple[str, ...] = (),
    ) -> Page:
        context = await self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=scripts,
            reduced_motion="reduce",  # a colour on its way to another one has no contrast to measure
        )
        self._contexts.append(context)
        context.set_default_timeout(15_000)
        if user_id is not None:
            token = development_keys(self.site.directory).issue(user_id, scopes=scopes)
            await context.add_cookies([{"name": "hoc_session", "value": token, "url": self.site.url}])
        page = await context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda said: self.errors.append(said.text) if "Security Policy" in said.text else None
        )
        await page.goto(self.site.url + path)
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()
