"""Invited first and signed up later, or the other way round, with a real OpenID provider: one account."""

import secrets
from collections.abc import AsyncGenerator, Generator

import httpx
import pytest
from pydantic import SecretStr
from starlette.routing import Mount, Router
from support.console import HOST, IDENTITY_MOUNT, MOUNT, Headers
from support.openid import CLIENT, Provider, openid_provider
from support.world import PostgresWorld, RealClock

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.authentication import GatewayBackend, JwksUrl, JwtBackend, any_of
from hoc.settings import Settings

SECRET = "a secret of sixteen characters"
SERVICE = {
    "X-Hoc-Gateway-Secret": SECRET,
    "X-Hoc-User-Id": "auth-service",
    "X-Hoc-Scopes": "accounts:write",
}


class Deployment(PostgresWorld):
    """The services behind an OpenID provider, the primary issuer, and a gateway for the auth service."""

    def __init__(self, served: Accounts, client: httpx.AsyncClient) -> None:
        super().__init__(served.database, RealClock())
        self.client = client

    async def sign_up(self, subject: str, email: str) -> httpx.Response:
        """What the auth service does after a person has signed in for the first time."""
        body = {"user_id": subject, "email": email, "name": "Fresh", "email_verified": True}
        return await self.client.post(f"{IDENTITY_MOUNT}/accounts/ensure", json=body, headers=SERVICE)

    async def accept(self, invitation: tuple[str, str], headers: Headers) -> httpx.Response:
        invitation_id, token = invitation
        return await self.client.post(
            f"{MOUNT}/invitations/{invitation_id}/accept", json={"token": token}, headers=headers
        )

    async def first_call(self, tenant_id: str, headers: Headers) -> str:
        """The account that the caller is in the tenant."""
        # The provider's tokens name no tenant: the gateway's routing does, here by the memberships.
        listed = await self.client.get(f"{MOUNT}/memberships", headers=headers)
        assert [one["tenant_id"] for one in listed.json()["memberships"]] == [tenant_id], listed.text
        profile = await self.client.put(f"{MOUNT}/profile", json={"display_name": "Fresh"}, headers=headers)
        return str(profile.json()["user_id"])


@pytest.fixture(scope="module")
def provider() -> Generator[Provider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture
async def deployment(provider: Provider, database_url: str) -> AsyncGenerator[Deployment]:
    keys = JwksUrl(provider.jwks_url)
    backend = any_of(
        GatewayBackend(secret=SECRET), JwtBackend(key_source=keys, issuer=provider.url, audience=CLIENT)
    )
    settings = Settings(database_url=SecretStr(database_url), primary_issuer=provider.url)
    served = Accounts(settings, authentication=backend)
    mounts = [Mount(MOUNT, served.console_app), Mount(IDENTITY_MOUNT, served.identity_app)]
    transport = httpx.ASGITransport(Router(mounts, default=Api([])))
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        yield Deployment(served, client)
    await served.database.close()


def person(provider: Provider, *, verified: bool = True) -> tuple[str, str, str]:
    """A person who has signed in with the provider: the subject, the address, and the token."""
    subject = f"auth0|{secrets.token_hex(8)}"
    email = f"{secrets.token_hex(8)}@example.com"
    provider.register(subject, email=email, email_verified=verified)
    return subject, email, provider.sign_in(subject)


async def test_invited_accepted_signed_up_and_called(deployment: Deployment, provider: Provider) -> None:
    subject, email, token = person(provider)
    headers = {"Authorization": f"Bearer {token}"}
    tenant_id, owner = await deployment.tenant()
    joined = await deployment.accept(await deployment.invite(tenant_id, owner, email), {})
    assert joined.json()["success"], joined.text
    ensured = await deployment.sign_up(subject, email)
    assert ensured.status_code == 200, ensured.text
    assert await deployment.first_call(tenant_id, headers) == ensured.json()["user_id"]
    profile = await deployment.client.get(f"{IDENTITY_MOUNT}/accounts/profile/{subject}", headers=headers)
    assert profile.json()["user_id"] == ensured.json()["user_id"] != subject


async def test_signed_up_invited_accepted_and_called(deployment: Deployment, provider: Provider) -> None:
    subject, email, token = person(provider)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await deployment.sign_up(subject, email)).status_code == 201
    tenant_id, owner = await deployment.tenant()
    joined = await deployment.accept(await deployment.invite(tenant_id, owner, email), headers)
    assert joined.json()["success"], joined.text
    assert await deployment.first_call(tenant_id, headers) == subject


async def test_signed_in_and_accepted_before_signing_up(deployment: Deployment, provider: Provider) -> None:
    subject, email, token = person(provider)
    headers = {"Authorization": f"Bearer {token}"}
    tenant_id, owner = await deployment.tenant()
    joined = await deployment.accept(await deployment.invite(tenant_id, owner, email), headers)
    assert joined.json()["success"], joined.text
    assert (await deployment.sign_up(subject, email)).status_code == 200
    assert await deployment.first_call(tenant_id, headers) == subject


async def test_an_unverified_sign_in_accepts_nothing(deployment: Deployment, provider: Provider) -> None:
    _, email, token = person(provider, verified=False)
    tenant_id, owner = await deployment.tenant()
    invitation = await deployment.invite(tenant_id, owner, email)
    refused = await deployment.accept(invitation, {"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_your_invitation")


async def test_an_owner_links_an_identity_by_its_token(deployment: Deployment, provider: Provider) -> None:
    subject, email, token = person(provider)
    other, _, other_token = person(provider)
    await deployment.sign_up(subject, email)
    headers = {"Authorization": f"Bearer {token}"}
    path = f"{IDENTITY_MOUNT}/accounts/profile/{subject}/identities"
    for body, status in (
        ({"subject": other}, 403),
        ({"token": "forged"}, 400),
        ({"token": other_token[:-4] + "AAAA"}, 400),
        ({"token": other_token}, 200),
    ):
        answer = await deployment.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
    seen = await deployment.client.put(
        f"{MOUNT}/profile", json={"display_name": "Both"}, headers={"Authorization": f"Bearer {other_token}"}
    )
    assert seen.json()["user_id"] == subject


async def test_another_issuers_subject_is_nobody(deployment: Deployment, provider: Provider) -> None:
    """The gateway is not the primary issuer here, so its users are no accounts until they are linked."""
    subject, email, _ = person(provider)
    await deployment.sign_up(subject, email)
    as_gateway = {"X-Hoc-Gateway-Secret": SECRET, "X-Hoc-User-Id": subject}
    path = f"{IDENTITY_MOUNT}/accounts/profile/{subject}"
    assert (await deployment.client.get(path, headers=as_gateway)).status_code == 403
    renamed = await deployment.client.put(
        f"{MOUNT}/profile", json={"display_name": "Eve"}, headers=as_gateway
    )
    assert renamed.status_code == 404
    tenants = await deployment.client.get(f"{MOUNT}/memberships", headers=as_gateway)
    assert tenants.json()["total"] == 0
    admin = SERVICE | {"X-Hoc-Scopes": "accounts:admin"}
    linked = await deployment.client.post(
        f"{path}/identities", json={"subject": subject, "issuer": "gateway"}, headers=admin
    )
    assert linked.status_code == 200, linked.text
    assert (await deployment.client.get(path, headers=as_gateway)).json()["user_id"] == subject


async def test_another_issuers_subject_makes_no_change_in_a_name(
    deployment: Deployment, provider: Provider
) -> None:
    """The event names the issuer, where the subject alone would be somebody's account."""
    subject, email, _ = person(provider)
    await deployment.sign_up(subject, email)
    as_gateway = SERVICE | {"X-Hoc-User-Id": subject}
    path = f"{IDENTITY_MOUNT}/accounts/profile/{subject}"
    renamed = await deployment.client.put(path, json={"name": "Renamed"}, headers=as_gateway)
    assert renamed.status_code == 200, renamed.text
    assert (await deployment.events(user_id=subject))[-1].actor == f"gateway {subject}"


async def test_the_longest_subject_of_another_issuer_is_served(
    deployment: Deployment, provider: Provider
) -> None:
    subject, email, _ = person(provider)
    await deployment.sign_up(subject, email)
    longest = SERVICE | {"X-Hoc-User-Id": "x" * 255}
    path = f"{IDENTITY_MOUNT}/accounts/profile/{subject}"
    renamed = await deployment.client.put(path, json={"name": "Renamed"}, headers=longest)
    assert renamed.status_code == 200, renamed.text
    created = await deployment.client.post(
        f"{MOUNT}/projects", json={"name": "Mine"}, headers=longest | {"Idempotency-Key": "once"}
    )
    assert (created.status_code, created.json()["code"]) == (403, "no_account"), created.text
