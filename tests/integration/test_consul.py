"""Registration with Consul, whose agent may be away, empty, slow or failing."""

import logging
import re
import socket
from collections.abc import Generator, Sequence
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.routing import BaseRoute
from support.command_line import wait_until
from support.consul import ADDRESS, Agent, Mood, consul_agent, kept
from support.servers import server_process

from hoc.cli.consul import Registration, metadata
from hoc.cli.errors import CommandError
from hoc.cli.listening import Address
from hoc.distribution import installed_version
from hoc.server import create_app
from hoc.settings import Settings

SERVICE = "account_service-127.0.0.1-8201"
TOKEN = "5f0a-secret"


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("hoc.cli.consul.CHECK_SECONDS", 0.02)
    # Long, because the machine may be busy; a test of the timeouts sets its own.
    monkeypatch.setattr("hoc.cli.consul.REQUEST_SECONDS", 30)
    monkeypatch.setattr("hoc.cli.consul.DEREGISTER_SECONDS", 60)
    caplog.set_level(logging.INFO, "hoc.consul")


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sequence[BaseRoute]:
    """The routes of `hoc serve`."""
    monkeypatch.setenv("HOC_DATABASE_URL", "postgresql://127.0.0.1/nobody_connects")
    monkeypatch.setenv("HOC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOC_DEVELOPMENT", "true")
    monkeypatch.setenv("HOC_INVITATION_LINKS", "true")
    for part in ("DOMAINS", "SCIM", "WEBHOOKS"):
        monkeypatch.setenv(f"HOC_{part}", "true")
    monkeypatch.setenv("HOC_DNS_SERVERS", "127.0.0.1:9")
    return create_app().routes


@pytest.fixture
def agent() -> Generator[Agent]:
    with consul_agent() as running:
        yield running


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == "hoc.consul"]


def test_it_registers_and_deregisters_a_server(agent: Agent, routes: Sequence[BaseRoute]) -> None:
    """The service has the health check and the metadata."""
    with kept(agent, routes=routes):
        wait_until(lambda: agent.services)
        assert agent.services == {
            SERVICE: {
                "ID": SERVICE,
                "Service": "account_service",
                "Address": "127.0.0.1",
                "Port": 8201,
                "Tags": ["hoc", "http"],
                "Meta": metadata(routes),
            }
        }
        assert agent.check_definition(SERVICE) == {
            "http": "http://127.0.0.1:8201/health",
            "interval": "10s",
            "timeout": "2s",
            "deregistercriticalserviceafter": "5m",
        }
    assert agent.services == {}


def test_check_and_metadata_match_a_running_server(
    agent: Agent, routes: Sequence[BaseRoute], database_url: str, tmp_path: Path
) -> None:
    with (
        server_process(database_url, tmp_path) as server,
        kept(agent, Address(socket.AF_INET, "127.0.0.1", server.port), routes=routes),
    ):
        wait_until(lambda: agent.services)
        [(service_id, service)] = agent.services.items()
        assert agent.check(service_id) == "passing"

        bases = service["Meta"]["base_paths"].split()
        bases.remove("/scim/v2")  # SCIM describes itself otherwise
        described = {
            f"{method.upper()}:{base}{path}"
            for base in bases
            for path, methods in httpx.get(f"{server.url}{base}/openapi.json").json()["paths"].items()
            for method in methods
        }
        words = " ".join(value for key, value in service["Meta"].items() if key.startswith("routes_")).split()
        below = {word for word in words if any(word.partition(":")[2].startswith(base) for base in bases)}
        documents = {f"GET:{base}/{name}" for base in bases for name in ("openapi.json", "docs")}
        documents |= {"GET:/api/v1/asyncapi.json", "GET:/api/v1/asyncapi/docs"}
        documents |= {"GET:/accounts", "GET:/accounts/"}  # which lead to the pages
        assert below == described | documents
        assert "GET:/health" in words
        server.kill()
        assert agent.check(service_id) == "critical"


def test_the_metadata_keeps_within_consuls_limits(routes: Sequence[BaseRoute]) -> None:
    described = metadata(routes)
    assert described["version"] == installed_version()
    assert described["base_paths"] == "/api/v1 /accounts /scim/v2"
    assert {"routes_1", "routes_2"} < set(described)
    assert len(described) <= 64
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key) for key in described)
    assert all(len(value.encode()) <= 512 for value in described.values())


def test_it_registers_again_after_the_agents_restart(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    with kept(agent):
        wait_until(lambda: agent.services)
        agent.stop()
        wait_until(lambda: "WARNING" in logged(caplog))
        agent.start()
        wait_until(lambda: agent.services)
        wait_until(lambda: logged(caplog) == ["INFO", "WARNING", "INFO"])
    assert agent.services == {}


def test_it_registers_again_only_when_the_service_is_gone(agent: Agent) -> None:
    with kept(agent):
        wait_until(lambda: agent.services)
        wait_until(lambda: agent.requests.count("GET /v1/agent/services") > 2)
        assert agent.requests.count("PUT /v1/agent/service/register") == 1
        agent.services.clear()
        wait_until(lambda: agent.services)


def test_an_earlier_servers_registration_is_replaced(agent: Agent) -> None:
    agent.services[SERVICE] = {"ID": SERVICE, "Meta": {"version": "0.0.1"}}
    with kept(agent):
        wait_until(lambda: agent.services[SERVICE]["Meta"].get("version") == installed_version())


def test_it_registers_once_a_missing_agent_starts(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    agent.stop()
    with kept(agent):
        wait_until(lambda: logged(caplog) == ["WARNING"])
        agent.start()
        wait_until(lambda: SERVICE in agent.services)
        wait_until(lambda: logged(caplog) == ["WARNING", "INFO"])


def test_an_outage_is_logged_once_and_so_is_its_end(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    agent.mood = "failing"
    with kept(agent):
        wait_until(lambda: len(agent.requests) > 4)
        agent.mood = "well"
        wait_until(lambda: SERVICE in agent.services)
    assert logged(caplog) == ["WARNING", "INFO"]
    assert f"Consul at {agent.url} fails (500): hoc serves on" in caplog.text


def test_creating_a_registration_sends_no_request(agent: Agent) -> None:
    agent.mood = "silent"
    Registration(Settings(consul_url=agent.url), ADDRESS, ())
    assert agent.requests == []


@pytest.mark.parametrize("mood", ["silent", "trickling"])
def test_a_hanging_agent_does_not_keep_the_server_running(
    agent: Agent, mood: Mood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoc.cli.consul.REQUEST_SECONDS", 0.1)
    monkeypatch.setattr("hoc.cli.consul.DEREGISTER_SECONDS", 0.5)
    agent.mood = mood
    with kept(agent):  # asserts that it ends
        wait_until(lambda: agent.requests)


def test_the_token_is_sent(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of another program")
    with consul_agent(token=TOKEN) as agent:
        with kept(agent, consul_token=SecretStr(TOKEN)):
            wait_until(lambda: agent.services)
            wait_until(lambda: "GET /v1/agent/services" in agent.requests)
        assert agent.services == {}
    assert logged(caplog) == ["INFO"]


@pytest.mark.parametrize(
    ("mood", "token", "reason"),
    [
        ("well", "another-secret", "403, HOC_CONSUL_TOKEN must allow service:write"),
        ("failing", TOKEN, "500"),
        ("well", f"{TOKEN}\n", "InvalidHeader"),
    ],
)
def test_the_token_is_never_logged(
    mood: Mood, token: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with consul_agent(token=TOKEN) as agent:
        agent.mood = mood
        with kept(agent, consul_token=SecretStr(token)):
            wait_until(lambda: logged(caplog) == ["WARNING"])
    assert f"fails ({reason})" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("listening", "advertised", "address", "check"),
    [
        ("192.0.2.7", None, "192.0.2.7", "http://192.0.2.7:80/health"),
        ("2001:db8::7", None, "2001:db8::7", "http://[2001:db8::7]:80/health"),
        ("127.0.0.1", "hoc.internal:80", "hoc.internal", "http://hoc.internal:80/health"),
        # Without an address, others use the agent's, which is on the same host.
        ("0.0.0.0", None, "", "http://127.0.0.1:80/health"),
        ("::", None, "", "http://127.0.0.1:80/health"),
    ],
)
def test_the_registered_address_is_reachable_for_others(
    agent: Agent, listening: str, advertised: str | None, address: str, check: str
) -> None:
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with kept(agent, Address(family, listening, 80), consul_address=advertised, consul_service="hoc"):
        wait_until(lambda: agent.services)
        [(service_id, service)] = agent.services.items()
        assert service_id == f"hoc-{address or socket.gethostname()}-80"
        assert (service["Address"], service["Port"]) == (address, 80)
        assert agent.check_definition(service_id)["http"] == check


@pytest.mark.parametrize(
    "url",
    [
        "consul",
        "http://consul",
        "ftp://consul:8500",
        "http://consul:port",
        "http://[::1:8500",
        "http://user:secret@consul:8500",
        "http://consul:8500/v1?token=secret",
    ],
)
def test_a_malformed_address_is_rejected_with_its_variable(url: str) -> None:
    """The message does not quote the value, which may have a password."""
    with pytest.raises((CommandError, ValueError), match=r"expected an? (absolute )?URL such as") as refused:
        Registration(Settings(consul_url=url), ADDRESS, ())
    assert "consul_url" in str(refused.value).lower()
    assert "secret" not in str(refused.value)
    settings = Settings(consul_url="http://consul:8500/", consul_address=url)
    with pytest.raises(CommandError, match=r"^HOC_CONSUL_ADDRESS: expected host:port, [^\n]+$"):
        Registration(settings, ADDRESS, ())
