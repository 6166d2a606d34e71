"""A server logs every request by its route, and every defect, without personal data."""

import json
import uuid
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from support.seed import execute
from support.servers import ServerProcess, development_keys, server_process

from hoc.database import Database
from hoc.telemetry.logs import logging_config

# Errors unknown to hoc. The first quotes a whole row in its details, the second in its message.
MISHAPS = (
    "ALTER TABLE account.users ADD CONSTRAINT mishap CHECK (timezone <> 'Asia/Tokyo')",
    "ALTER TABLE account.scim_users ADD CONSTRAINT mishap CHECK (external_id <> 'mishap')",
    """
    CREATE FUNCTION account.mishap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room for % %', NEW.email, NEW.name; END $$
    """,
    """
    CREATE TRIGGER mishap BEFORE UPDATE ON account.users FOR EACH ROW
    WHEN (NEW.timezone = 'Asia/Seoul') EXECUTE FUNCTION account.mishap()
    """,
)


class Person:
    """A person whose data contain a mark."""

    def __init__(self) -> None:
        self.mark = f"canary{uuid.uuid4().hex}"
        self.user_id = f"usr_{uuid.uuid4().hex}"
        self.email = f"{self.mark}@example.com"
        self.secrets: list[str] = []
        self.account = {"user_id": self.user_id, "email": self.email, "name": f"{self.mark} Canary"}


@pytest.fixture
async def fragile_database_url(fresh_database_url: str, fresh_database: Database) -> str:
    for mishap in MISHAPS:
        await execute(fresh_database, mishap)
    return fresh_database_url


def use_logging_of_hoc(
    monkeypatch: pytest.MonkeyPatch, directory: Path, form: Literal["json", "line"]
) -> None:
    """Have uvicorn log as `hoc serve` does, and also log its address."""
    config = logging_config(form)
    config["loggers"]["uvicorn.error"] = {"level": "INFO"}
    path = directory / "logging.json"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("UVICORN_LOG_CONFIG", str(path))
    monkeypatch.setenv("UVICORN_ACCESS_LOG", "false")


@pytest.mark.parametrize("form", ["json", "line"])
def test_no_personal_data_is_logged(
    fragile_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Literal["json", "line"]
) -> None:
    use_logging_of_hoc(monkeypatch, tmp_path, form)
    person = Person()
    with server_process(fragile_database_url, tmp_path, log_requests="true") as server:
        token, statuses = provoke(server, tmp_path, person)
        log = server.log.read_text()
    assert statuses == {200, 201, 400, 401, 403, 404, 409, 415, 500}
    assert "GET unmatched 404 in" in log
    assert "asyncpg.exceptions.CheckViolationError" in log
    assert "asyncpg.exceptions.RaiseError" in log
    for personal in (person.mark, person.user_id, token, token.rpartition(".")[2], *person.secrets):
        assert personal not in log


def provoke(server: ServerProcess, directory: Path, person: Person) -> tuple[str, set[int]]:
    """Send requests of all kinds with the person's data everywhere. Returns their token and the statuses."""
    keys = development_keys(directory)
    token = keys.issue(person.user_id, email=person.email, scopes=["accounts:write"])
    everywhere: dict[str, Any] = {
        "headers": {"User-Agent": person.mark, "Referer": f"http://x/{person.email}", "Cookie": person.mark},
    }
    as_person = {"Authorization": f"Bearer {token}"}
    forged = {"Authorization": f"Bearer {token}{person.mark}"}
    answers: list[httpx.Response] = []
    # A new connection for each request, because uvicorn closes a connection after a 500.
    apart = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.url, limits=apart, **everywhere) as client:
        answers += [
            client.post("/api/v1/accounts/ensure", json=person.account, headers=as_person),
            client.post("/api/v1/accounts/ensure", json=person.account, headers=as_person),
            client.post(
                "/api/v1/accounts/ensure",
                json=person.account | {"user_id": f"{person.user_id}2"},
                headers=as_person,
            ),
            client.post("/accounts/users/invite", json={"email": person.email}, headers=forged),
            client.post("/accounts/users/invite", json={"email": person.email}, headers=as_person),
            client.post("/api/v1/accounts/ensure", content=person.email, headers=as_person),
            client.get(f"/accounts/{person.email}"),
            client.get(f"/{person.mark}"),
            client.get("/api/v1/accounts", params={person.mark: person.mark}, headers=as_person),
            client.get("/accounts/projects", params={"cursor": person.email}, headers=as_person),
            client.get(f"/api/v1/accounts/by-email/{person.email}"),
        ]
        projects = [
            client.post(
                "/accounts/projects", json={"name": person.mark, "slug": person.mark}, headers=as_person
            )
            for _ in range(2)
        ]
        tenant_id = projects[0].json()["project_id"]
        as_owner = {"Authorization": f"Bearer {keys.issue(person.user_id, tenant_id)}"}
        answers += [
            *projects,
            client.post("/accounts/users/invite", json={"email": person.mark}, headers=as_owner),
            *(
                client.put(
                    "/accounts/profile",
                    json={"display_name": person.mark, "timezone": zone},
                    headers=as_owner,
                )
                for zone in ("Asia/Tokyo", "Asia/Seoul")
            ),
        ]
        answers += provoke_directory(client, as_owner, person)
    return token, {answer.status_code for answer in answers}


def provoke_directory(client: httpx.Client, as_owner: dict[str, str], person: Person) -> list[httpx.Response]:
    """Send requests of all kinds as the directory of the person's tenant."""
    made = client.post("/accounts/scim/tokens", json={"name": person.mark}, headers=as_owner)
    person.secrets.append(made.json()["token"])
    headers = {"Authorization": f"Bearer {person.secrets[-1]}", "Content-Type": "application/scim+json"}
    user = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": person.mark,
        "displayName": person.mark,
        "emails": [{"value": f"{person.mark}@directory.example.com"}],
    }
    forged = headers | {"Authorization": f"{headers['Authorization']}{person.mark}"}
    return [
        client.post("/scim/v2/Users", json=user, headers=headers),
        client.post("/scim/v2/Users", json=user, headers=headers),
        client.post("/scim/v2/Users", json=user | {"userName": "x", "externalId": "mishap"}, headers=headers),
        client.post("/scim/v2/Users", json=user | {"name": person.mark}, headers=headers),
        client.post("/scim/v2/Users", content=person.email, headers=headers),
        client.get("/scim/v2/Users", params={"filter": f'userName eq "{person.mark}"'}, headers=headers),
        client.get("/scim/v2/Users", params={"filter": person.mark}, headers=headers),
        client.get(f"/scim/v2/Users/{person.mark}", headers=headers),
        client.get("/scim/v2/Users", headers=forged),
    ]


def test_every_record_of_a_request_has_its_id(
    fragile_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_logging_of_hoc(monkeypatch, tmp_path, "json")
    person = Person()
    with server_process(fragile_database_url, tmp_path, log_requests="true") as server:
        provoke(server, tmp_path, person)
        answer = httpx.get(f"{server.url}/accounts/users/{person.user_id}")
    # Read once the server has ended: it logs a request after it has answered.
    records = [json.loads(line) for line in server.log.read_text().splitlines()]
    of_requests = [record for record in records if record["logger"] == "hoc.requests"]
    assert all(len(record["request_id"]) == 32 for record in of_requests)
    # Requests of other connections may be logged after it, though they were answered before.
    [last] = [each for each in of_requests if each["request_id"] == answer.headers["x-request-id"]]
    assert (last["method"], last["route"], last["status"]) == ("GET", "/accounts/users/{user_id}", 401)
    assert last["duration_ms"] > 0

    failed = {record["request_id"] for record in of_requests if record["status"] == 500}
    defects = [record for record in records if record["level"] == "ERROR"]
    assert {record["logger"] for record in defects} == {"hoc.http", "hoc.scim"}
    assert {record["request_id"] for record in defects} == failed
    assert all("exception" in record for record in defects)


def test_requests_are_logged_only_on_request(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_logging_of_hoc(monkeypatch, tmp_path, "json")
    with server_process(database_url, tmp_path) as server:
        httpx.get(f"{server.url}/accounts/users")
        assert "hoc.requests" not in server.log.read_text()
