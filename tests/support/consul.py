"""A substitute for Consul's agent, because none can be installed where the tests run.

It implements the used part of the agent's HTTP API as Consul documents it: registering, listing and
deregistering services, the ACL token, the limits of metadata, and the HTTP check, which it really performs.
It has no catalog, no cluster and no clock: it performs a check when a test asks for it.
"""

import json
import re
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

import httpx
from starlette.routing import BaseRoute
from support.command_line import wait_until

from hoc.cli.consul import Registration
from hoc.cli.listening import Address
from hoc.settings import Settings

ADDRESS: Final = Address(socket.AF_INET, "127.0.0.1", 8201)
"""The address of the registered server, where nothing listens."""

_META_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")

Service = dict[str, Any]
Mood = Literal["well", "failing", "silent", "trickling"]


@dataclass
class Agent:
    """`services` by id, as GET /v1/agent/services returns them; `requests` by method and path."""

    token: str | None
    services: dict[str, Service] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    mood: Mood = "well"
    _checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    _server: "_Server | None" = None
    _port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before, without any service."""
        self.services.clear()
        self._checks.clear()
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the port without answering open requests."""
        if self._server is not None:
            self._server.ended.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def check(self, service_id: str) -> str:
        """Perform a service's check. Returns its status as Consul derives it."""
        check = self._checks[service_id]
        try:
            answer = httpx.get(check["http"], timeout=float(check["timeout"].removesuffix("s")))
        except httpx.HTTPError:
            return "critical"
        if answer.is_success:
            return "passing"
        return "warning" if answer.status_code == 429 else "critical"

    def check_definition(self, service_id: str) -> dict[str, Any]:
        return self._checks[service_id]

    def register(self, given: dict[str, Any]) -> str | None:
        """Register a service. Returns None, or the reason for a rejection."""
        service = _lower_keys(given)
        if not service.get("name"):
            return "Missing service name"
        meta: dict[str, str] = service.get("meta", {})
        if len(meta) > 64 or any(
            not _META_KEY.match(key) or key.startswith("consul-") or len(value.encode()) > 512
            for key, value in meta.items()
        ):
            return "Invalid Service Meta"
        [check] = [_lower_keys(check) for check in service["checks"]]
        if "http" in check and "interval" not in check:
            return "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, or UDP checks"
        service_id = service.get("id") or service["name"]
        self._checks[service_id] = check
        self.services[service_id] = {
            "ID": service_id,
            "Service": service["name"],
            "Address": service.get("address", ""),
            "Port": service.get("port", 0),
            "Tags": service.get("tags", []),
            "Meta": meta,
        }
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, agent: Agent, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.agent = agent
        self.ended = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._handle({})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._handle(json.loads(body or b"{}"))

    def _handle(self, body: dict[str, Any]) -> None:
        assert isinstance(self.server, _Server)
        agent, ended = self.server.agent, self.server.ended
        agent.requests.append(f"{self.command} {self.path}")
        match agent.mood:
            case "failing":
                # A proxy in front of the agent may quote the request's headers.
                self._answer(500, f"rpc error: {self.headers}")
            case "silent":
                ended.wait()
            case "trickling":
                self._trickle(ended)
            case "well":
                if agent.token is not None and self.headers.get("X-Consul-Token") != agent.token:
                    self._answer(403, "Permission denied: token lacks permission 'service:write'")
                else:
                    self._route(agent, body)

    def _route(self, agent: Agent, body: dict[str, Any]) -> None:
        path = self.path.partition("?")[0]
        deregistered = path.removeprefix("/v1/agent/service/deregister/")
        if (self.command, path) == ("GET", "/v1/agent/services"):
            self._answer(200, json.dumps(agent.services))
        elif (self.command, path) == ("PUT", "/v1/agent/service/register"):
            refusal = agent.register(body)
            self._answer(400 if refusal else 200, refusal or "")
        elif self.command == "PUT" and deregistered in agent.services:
            del agent.services[deregistered]
            self._answer(200, "")
        else:
            self._answer(404, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def _trickle(self, ended: threading.Event) -> None:
        """Send a byte now and then, so that the response never ends, and never times out."""
        self.send_response(200)
        self.end_headers()
        try:
            while not ended.wait(0.01):
                self.wfile.write(b" ")
        except OSError:
            return

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - drops all
        pass


def _lower_keys(given: dict[str, Any]) -> dict[str, Any]:
    """Consul ignores the case of keys."""
    return {key.lower(): value for key, value in given.items()}


@contextmanager
def consul_agent(*, token: str | None = None) -> Generator[Agent]:
    """Run an agent on a free port of 127.0.0.1. With a token, it requires the token."""
    agent = Agent(token)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()
        # An abandoned thread must not log during the next test.
        wait_until(lambda: not any(thread.name == "hoc-consul" for thread in threading.enumerate()))


@contextmanager
def kept(
    agent: Agent, address: Address = ADDRESS, *, routes: Sequence[BaseRoute] = (), **settings: Any
) -> Generator[None]:
    """Keep a server registered during the block, in a thread. Asserts that the thread ends."""
    registration = Registration(Settings(consul_url=agent.url, **settings), address, routes)
    ended = threading.Event()
    thread = threading.Thread(target=registration.keep, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(90)
        assert not thread.is_alive()
