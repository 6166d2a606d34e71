"""The examples run as their users run them."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from socket import AF_INET, SOCK_STREAM, socket
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.command_line import environment, printed_json

EXAMPLES = Path(__file__).parents[2] / "examples"
ISSUER = "https://login.example.com"
AUDIENCE = "console"


@dataclass(frozen=True, slots=True)
class Demo:
    """A migrated database with a demo tenant, and an empty directory for the example's data."""

    database_url: str
    directory: Path
    tenant_id: str
    people: dict[str, Any]

    def environment(self, **variables: str) -> dict[str, str]:
        return environment(
            HOC_DATABASE_URL=self.database_url, HOC_DATA_DIR=str(self.directory / "data"), **variables
        )


@pytest.fixture
def demo(fresh_database_url: str, tmp_path: Path) -> Demo:
    tenant = printed_json(
        "demo", "--json", "--data-dir", tmp_path / "demo", HOC_DATABASE_URL=fresh_database_url
    )
    return Demo(fresh_database_url, tmp_path, tenant["tenant_id"], tenant)


@contextmanager
def served(app: str, variables: dict[str, str]) -> Generator[httpx.Client]:
    """Run an application under uvicorn. The socket listens before, so that no request is too early."""
    with socket(AF_INET, SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "--app-dir",
            str(EXAMPLES),
            "--fd",
            str(listener.fileno()),
            app,
        ]
        with subprocess.Popen(command, env=variables, pass_fds=[listener.fileno()]) as process:
            port = listener.getsockname()[1]
            listener.close()  # so that a request fails, and does not wait, when the start fails
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                    yield client
            finally:
                process.terminate()
                assert process.wait(60) in {0, -SIGTERM}  # uvicorn stops cleanly, then passes the signal on


def test_fastapi_routes_and_the_console_share_one_sign_in(demo: Demo) -> None:
    sessions = {
        "owners-secret": {"user_id": demo.people["owner"]["user_id"], "tenant_id": demo.tenant_id},
        "strangers-secret": {"user_id": "usr_stranger", "tenant_id": demo.tenant_id},
    }
    owner, stranger = ({"Cookie": f"session={secret}"} for secret in sessions)
    with served("fastapi_app:app", demo.environment(EXAMPLE_SESSIONS=json.dumps(sessions))) as client:
        assert client.get("/hello").status_code == 401
        assert client.get("/hello", headers=owner).json() == {"hello": demo.people["owner"]["user_id"]}

        users = client.get("/accounts/users", headers=owner)
        assert (users.status_code, users.json()["total"]) == (200, 24)
        assert client.get("/accounts/users").json()["code"] == "not_authenticated"
        assert client.get("/accounts/users", headers=stranger).json()["code"] == "not_a_member"
        assert client.get("/accounts/users", headers={"Cookie": "session=guessed"}).status_code == 401

        invited = client.post("/accounts/users/invite", headers=owner, json={"email": "new@example.com"})
        assert invited.status_code == 201
        leave = "/accounts/tenant/leave"
        for forged in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert client.post(leave, headers=owner | forged).json()["code"] == "cross_site_request"
        for own in ({"X-Hoc-Request": "1"}, {"Origin": str(client.base_url).rstrip("/")}):
            assert client.post(leave, headers=owner | own).json()["code"] == "last_owner"
        assert client.get("/accounts/openapi.json").json()["servers"] == [{"url": "/accounts"}]


class Issuer:
    """Signs the tokens that an example verifies."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self.key = Ed25519PrivateKey.generate()
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.variables = {"HOC_JWT_PUBLIC_KEY": pem, "HOC_JWT_ISSUER": ISSUER, "HOC_JWT_AUDIENCE": AUDIENCE}

    def bearer(
        self, user_id: str, signed_with: Ed25519PrivateKey | None = None, scope: str = ""
    ) -> dict[str, str]:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "tenant_id": self._tenant_id,
            "scope": scope,
            "exp": datetime.now(UTC) + timedelta(hours=1),
        }
        return {"Authorization": f"Bearer {jwt.encode(claims, signed_with or self.key, algorithm='EdDSA')}"}


def test_starlette_mounts_both_applications_with_its_own_tokens(demo: Demo) -> None:
    issuer = Issuer(demo.tenant_id)
    bearer, key, other_key = issuer.bearer, issuer.key, Ed25519PrivateKey.generate()
    owner = demo.people["owner"]["user_id"]
    with served("starlette_app:app", demo.environment(**issuer.variables)) as client:
        assert "/team" in client.get("/").text

        profile = client.get("/team/profile", headers=bearer(owner, key))
        assert (profile.status_code, profile.json()["role"]) == (200, "owner")
        assert client.get("/team/profile").status_code == 401
        assert client.get("/team/profile", headers=bearer(owner, other_key)).status_code == 401
        assert client.get("/team/profile", headers=bearer("usr_stranger", key)).status_code == 403

        ada = {"user_id": "usr_ada", "email": "ada@example.com", "name": "Ada"}
        ensure = "/api/v1/accounts/ensure"
        assert client.post(ensure, headers=bearer("usr_ada", key), json=ada).json()["code"] == "missing_scope"
        back_end = bearer("back-end", key, "accounts:write")
        assert [client.post(ensure, headers=back_end, json=ada).status_code for _ in range(2)] == [201, 200]
        project = {"name": "Analytical Engines"}
        assert client.post("/team/projects", headers=bearer("usr_ada", key), json=project).status_code == 201


@pytest.mark.parametrize("framework", ["litestar", "django", "quart"])
def test_other_frameworks_mount_the_console(demo: Demo, framework: str) -> None:
    """Beside their own routes, with every path, parameter and document as Starlette has them."""
    issuer, tenant = Issuer(demo.tenant_id), demo.tenant_id
    owner = demo.people["owner"]["user_id"]
    headers = issuer.bearer(owner)
    with served(f"{framework}_app:app", demo.environment(**issuer.variables)) as client:
        own = {"django": (f"/tenants/{tenant}/members", {"members": 24})}
        path, answer = own.get(framework, ("/hello", {"hello": framework.title()}))
        assert [client.get(path).json() for _ in range(2)] == [answer] * 2

        assert client.get("/accounts/users", headers=headers, params={"limit": 3}).json()["total"] == 24
        assert client.get(f"/accounts/users/{owner}", headers=headers).json()["user_id"] == owner
        refused = client.get("/accounts/users")
        assert (refused.status_code, refused.json()["instance"]) == (401, "/accounts/users")
        assert client.get("/accounts/nowhere", headers=headers).json()["code"] == "not_found"
        assert client.get("/accounts/users/", headers=headers).status_code == 404
        invited = client.post("/accounts/users/invite", headers=headers, json={"email": "new@example.com"})
        assert invited.status_code == 201
        assert client.get("/accounts/openapi.json").json()["servers"] == [{"url": "/accounts"}]


def test_the_script_commits_both_rows_or_neither(demo: Demo) -> None:
    command = [
        sys.executable,
        str(EXAMPLES / "facade_script.py"),
        demo.tenant_id,
        demo.people["owner"]["user_id"],
    ]
    done = subprocess.run(
        command, env=demo.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    [first, committed, rolled_back, refused] = done.stdout.splitlines()
    assert first.endswith("pending, 0 desks")
    pending = int(first.split()[2])
    assert committed == f"committed: {pending + 1} pending, 1 desks"
    assert rolled_back == f"rolled back: {pending + 1} pending, 1 desks"
    assert refused.startswith("already_pending: ")


def test_the_example_tests_need_no_server(tmp_path: Path) -> None:
    example = tmp_path / "test_example.py"
    example.write_text((EXAMPLES / "tests_without_a_database.py").read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        str(example),
    ]
    done = subprocess.run(
        command, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert "2 passed" in done.stdout, done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 80
