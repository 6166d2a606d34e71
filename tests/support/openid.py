"""An OpenID provider that nobody here wrote, in a process of its own, and people who sign in with it."""

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from hoc.embedded.service import free_port

CLIENT: Final = "console"
CALLBACK: Final = "http://console.test/callback"


@dataclass(frozen=True, slots=True)
class Provider:
    url: str

    @property
    def jwks_url(self) -> str:
        return str(httpx.get(f"{self.url}/.well-known/openid-configuration").json()["jwks_uri"])

    def register(self, subject: str, **claims: Any) -> None:
        """Have a user with these claims, such as ``email`` and ``email_verified``."""
        httpx.put(f"{self.url}/users/{subject}", json=claims).raise_for_status()

    def sign_in(self, subject: str) -> str:
        """The ID token of a user who signs in by the authorization code flow (OpenID Connect Core, 3.1)."""
        asked = {
            "client_id": CLIENT,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email",
        }
        agreed = httpx.post(f"{self.url}/oauth2/authorize", params=asked, data={"sub": subject})
        assert agreed.is_redirect, agreed.text
        [code] = parse_qs(urlsplit(agreed.headers["location"]).query)["code"]
        issued = httpx.post(
            f"{self.url}/oauth2/token",
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK},
            auth=(CLIENT, "any secret"),
        )
        return str(issued.raise_for_status().json()["id_token"])


@contextmanager
def openid_provider() -> Generator[Provider]:
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            provider = Provider(f"http://localhost:{port}")
            while not _answers(provider):
                assert process.poll() is None
                time.sleep(0.05)
            yield provider
        finally:
            process.kill()


def _answers(provider: Provider) -> bool:
    try:
        return httpx.get(f"{provider.url}/jwks").is_success
    except httpx.TransportError:
        return False
