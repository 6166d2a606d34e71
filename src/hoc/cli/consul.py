"""`hoc serve` in Consul: registered while it serves, whatever becomes of the agent meanwhile."""

import logging
import re
import socket
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from threading import Event, Thread
from typing import Any, Final, Self
from urllib.parse import urlsplit

from consul import (  # type: ignore[import-untyped]  # it has no types
    ACLPermissionDenied,
    Consul,
    ConsulException,
)
from starlette.routing import BaseRoute, Mount, Route

from hoc.cli.listening import Address
from hoc.cli.problems import CommandError
from hoc.settings import Settings

LOOK_SECONDS = 5.0
REQUEST_SECONDS = 2.0
GOODBYE_SECONDS = 5.0  # enough for a request under way and the one that deregisters

_TAGS: Final = ["hoc", "http"]
_CHECK: Final = {"Interval": "10s", "Timeout": "2s", "DeregisterCriticalServiceAfter": "5m"}
_LONGEST_VALUE: Final = 512  # Consul refuses a service with a longer one in its metadata

_log = logging.getLogger("hoc.consul")


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    scheme: str = "http"

    @classmethod
    def read(cls, url: str, otherwise: str) -> Self:
        """Read `scheme://host:port`; CommandError says what is expected otherwise, and quotes nothing."""
        try:
            parts = urlsplit(url)
            place = cls(parts.hostname or "", parts.port or 0, parts.scheme)
        except ValueError:
            raise CommandError(otherwise) from None
        complete = place.host and place.port and place.scheme in {"http", "https"}
        if not complete or place.url != url.lower().removesuffix("/"):
            raise CommandError(otherwise)
        return place

    @property
    def url_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.url_host}:{self.port}"


class Registration:
    """A server's entry with the agent at HOC_CONSUL_URL.

    Args:
        address: where the server listens.
        routes: of the application it serves; they become metadata.

    Raises:
        CommandError: HOC_CONSUL_URL or HOC_CONSUL_ADDRESS cannot be read.
    """

    def __init__(self, settings: Settings, address: Address, routes: Sequence[BaseRoute]) -> None:
        self._agent_at = _Place.read(
            settings.consul_url or "", "HOC_CONSUL_URL: expected a URL such as http://127.0.0.1:8500."
        )
        self._at, self._is_everywhere = _server_place(settings.consul_address, address)
        self._name = settings.consul_service
        host = socket.gethostname() if self._is_everywhere else self._at.host
        self._id = f"{self._name}-{host}-{self._at.port}"
        self._metadata = metadata(routes)
        # Given to each call: what the client is made with yields to CONSUL_HTTP_TOKEN.
        self._token = settings.consul_token.get_secret_value() if settings.consul_token else None
        self._agent = _agent(self._agent_at)
        self._registered = False
        self._well = True

    def keep(self, ended: Event) -> None:
        """Be registered until `ended`; then deregister, within GOODBYE_SECONDS or not at all."""
        # The client's timeout is one per packet: an agent that trickles could hold it for ever.
        work = Thread(target=self._keep, args=(ended,), name="hoc-consul", daemon=True)
        work.start()
        ended.wait()
        work.join(GOODBYE_SECONDS)

    def _keep(self, ended: Event) -> None:
        self._look()
        while not ended.wait(LOOK_SECONDS):
            self._look()
        self._deregister()

    def _look(self) -> None:
        try:
            news = self._register_unless_known()
        except Exception as problem:  # noqa: BLE001 - whatever it was, the next look must come
            self._warn(problem, f"hoc serves on and looks again every {LOOK_SECONDS:g} seconds")
            self._well = False
            return
        if news or not self._well:
            _log.info("registered with Consul at %s as %s", self._agent_at.url, self._id)
        self._well = True

    def _register_unless_known(self) -> bool:
        """Whether it had to: the first time it has, since the agent may know an earlier version."""
        if self._registered and self._id in (self._agent.services(token=self._token) or ()):
            return False
        address, reached = self._at.host, self._at
        if self._is_everywhere:
            reached = _Place(_own_host(self._at, self._agent_at), self._at.port)
            # An agent on this host has others reach the service where they reach the agent.
            address = "" if ip_address(reached.host).is_loopback else reached.host
        done = self._agent.service.register(
            self._name,
            service_id=self._id,
            address=address,
            port=self._at.port,
            tags=_TAGS,
            meta=self._metadata,
            check={"HTTP": f"{reached.url}/health", **_CHECK},
            token=self._token,
        )
        if not done:
            raise ConsulException("404")
        self._registered = True
        return True

    def _deregister(self) -> None:
        # Even if no registration was seen to succeed: one that timed out may have.
        try:
            self._agent.service.deregister(self._id, token=self._token)
        except Exception as problem:  # noqa: BLE001 - whatever it was, the server stops
            self._warn(problem, "it lists this server until the check has failed for a while")

    def _warn(self, problem: Exception, consequence: str) -> None:
        if self._well:
            _log.warning("Consul at %s fails (%s): %s", self._agent_at.url, _reason(problem), consequence)


def metadata(routes: Sequence[BaseRoute]) -> dict[str, str]:
    """Describe an application within Consul's limits: 64 keys of 128 characters, values of 512.

    `routes_1`, `routes_2`, … hold words such as `GET:/accounts/users`.
    """
    mounts = [route.path or "/" for route in routes if isinstance(route, Mount)]
    values = textwrap.wrap(" ".join(_words(routes)), _LONGEST_VALUE, break_on_hyphens=False)
    return {
        "version": version("hoc"),
        "base_paths": " ".join(mounts),
        **{f"routes_{number}": value for number, value in enumerate(values, start=1)},
    }


def _words(routes: Sequence[BaseRoute], below: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _words(route.routes, below + route.path)
        elif isinstance(route, Route):
            methods = (route.methods or set[str]()) - {"HEAD"}
            yield from (f"{method}:{below}{route.path}" for method in sorted(methods))


def _server_place(advertised: str | None, address: Address) -> tuple[_Place, bool]:
    """Where the server is, and whether that stands for every address of this host."""
    if not advertised:
        return _Place(address.host, address.port), ip_address(address.host).is_unspecified
    otherwise = "HOC_CONSUL_ADDRESS: expected host:port, such as 10.0.0.7:8201."
    return _Place.read(f"http://{advertised}", otherwise), False


def _own_host(server: _Place, agent: _Place) -> str:
    """Return the address by which the agent sees this host, of a family that the server listens on."""
    family = socket.AF_UNSPEC if ":" in server.host else socket.AF_INET
    found = socket.getaddrinfo(agent.host, agent.port, family=family, type=socket.SOCK_DGRAM)
    with socket.socket(found[0][0], socket.SOCK_DGRAM) as probe:
        probe.connect(found[0][4])
        return str(probe.getsockname()[0])


def _agent(place: _Place) -> Any:  # noqa: ANN401 - the client has no types
    client = Consul(place.url_host, place.port, scheme=place.scheme, connections_timeout=REQUEST_SECONDS)
    return client.agent


def _reason(problem: Exception) -> str:
    """Return nothing of what the agent or the client say themselves: either may quote the token."""
    if isinstance(problem, ACLPermissionDenied):
        return "403, HOC_CONSUL_TOKEN must allow service:write"
    status = re.match(r"[45]\d\d\b", str(problem))
    return status[0] if status else type(problem).__name__
