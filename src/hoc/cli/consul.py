"""Keeps `hoc serve` registered with Consul, also across restarts of the agent."""

import logging
import re
import socket
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

from hoc.cli.errors import CommandError
from hoc.cli.listening import Address
from hoc.distribution import installed_version
from hoc.settings import Settings

CHECK_SECONDS = 5.0
REQUEST_SECONDS = 2.0
DEREGISTER_SECONDS = 5.0  # enough for a request in flight and the one that deregisters

_TAGS: Final = ["hoc", "http"]
_CHECK: Final = {"Interval": "10s", "Timeout": "2s", "DeregisterCriticalServiceAfter": "5m"}
_MAX_VALUE_LENGTH: Final = 512  # Consul rejects a service with a longer value in its metadata

_log = logging.getLogger("hoc.consul")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    host: str
    port: int
    scheme: str = "http"

    @classmethod
    def parse(cls, url: str, complaint: str) -> Self:
        """Parse `scheme://host:port`; CommandError with `complaint` when it is anything else."""
        try:
            parts = urlsplit(url)
            endpoint = cls(parts.hostname or "", parts.port or 0, parts.scheme)
        except ValueError:
            raise CommandError(complaint) from None
        complete = endpoint.host and endpoint.port and endpoint.scheme in {"http", "https"}
        if not complete or endpoint.url != url.lower().removesuffix("/"):
            raise CommandError(complaint)
        return endpoint

    @property
    def url_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.url_host}:{self.port}"


class Registration:
    """A server's registration with the agent at HOC_CONSUL_URL.

    Args:
        settings: those named HOC_CONSUL_….
        address: where the server listens.
        routes: the server's routes, for the metadata.

    Raises:
        CommandError: HOC_CONSUL_URL or HOC_CONSUL_ADDRESS is malformed.
    """

    def __init__(self, settings: Settings, address: Address, routes: Sequence[BaseRoute]) -> None:
        self._agent_endpoint = _Endpoint.parse(
            settings.consul_url or "", "HOC_CONSUL_URL: expected a URL such as http://127.0.0.1:8500."
        )
        self._endpoint, self._is_wildcard = _server_endpoint(settings.consul_address, address)
        self._name = settings.consul_service
        host = socket.gethostname() if self._is_wildcard else self._endpoint.host
        self._id = f"{self._name}-{host}-{self._endpoint.port}"
        self._metadata = metadata(routes)
        # Passed with each call, because CONSUL_HTTP_TOKEN would override a token passed to the client.
        self._token = settings.consul_token.get_secret_value() if settings.consul_token else None
        self._agent = _agent(self._agent_endpoint)
        self._is_registered = False
        self._is_failing = False

    def keep(self, ended: Event) -> None:
        """Keep the server registered until `ended`. Then try to deregister it, for DEREGISTER_SECONDS."""
        # A daemon thread, because the client's timeout bounds each read, not the whole response.
        work = Thread(target=self._keep, args=(ended,), name="hoc-consul", daemon=True)
        work.start()
        ended.wait()
        work.join(DEREGISTER_SECONDS)

    def _keep(self, ended: Event) -> None:
        self._check()
        while not ended.wait(CHECK_SECONDS):
            self._check()
        self._deregister()

    def _check(self) -> None:
        try:
            was_missing = self._register_if_missing()
        except Exception as problem:  # noqa: BLE001 - after any exception the next check must come
            self._warn(problem, f"hoc serves on and tries again every {CHECK_SECONDS:g} seconds")
            self._is_failing = True
            return
        if was_missing or self._is_failing:
            _log.info("registered with Consul at %s as %s", self._agent_endpoint.url, self._id)
        self._is_failing = False

    def _register_if_missing(self) -> bool:
        """Returns whether the agent did not list this server. The first call registers it in any case.

        The agent may still list the server of an earlier version.
        """
        if self._is_registered and self._id in (self._agent.services(token=self._token) or ()):
            return False
        address, reachable = self._endpoint.host, self._endpoint
        if self._is_wildcard:
            reachable = _Endpoint(_own_host(self._endpoint, self._agent_endpoint), self._endpoint.port)
            # Without an address, others reach the service at the agent's address. The agent is on this host.
            address = "" if ip_address(reachable.host).is_loopback else reachable.host
        done = self._agent.service.register(
            self._name,
            service_id=self._id,
            address=address,
            port=self._endpoint.port,
            tags=_TAGS,
            meta=self._metadata,
            check={"HTTP": f"{reachable.url}/health", **_CHECK},
            token=self._token,
        )
        if not done:
            raise ConsulException("404")
        self._is_registered = True
        return True

    def _deregister(self) -> None:
        # In any case, because a registration that timed out may have succeeded.
        try:
            self._agent.service.deregister(self._id, token=self._token)
        except Exception as problem:  # noqa: BLE001 - after any exception the server stops
            self._warn(problem, "it lists this server until the health check has failed for five minutes")

    def _warn(self, problem: Exception, consequence: str) -> None:
        if not self._is_failing:
            url = self._agent_endpoint.url
            _log.warning("Consul at %s fails (%s): %s", url, _reason(problem), consequence)


def metadata(routes: Sequence[BaseRoute]) -> dict[str, str]:
    """Return `version`, `base_paths`, and the routes in `routes_1`, `routes_2`, …, as `GET:/accounts/users`.

    Consul's limits are 64 keys of 128 characters, with values of 512.
    """
    mounts = [route.path or "/" for route in routes if isinstance(route, Mount)]
    values = textwrap.wrap(" ".join(_words(routes)), _MAX_VALUE_LENGTH, break_on_hyphens=False)
    return {
        "version": installed_version(),
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


def _server_endpoint(advertised: str | None, address: Address) -> tuple[_Endpoint, bool]:
    """Return the server's endpoint, and whether its host is the wildcard address."""
    if not advertised:
        return _Endpoint(address.host, address.port), ip_address(address.host).is_unspecified
    complaint = "HOC_CONSUL_ADDRESS: expected host:port, such as 10.0.0.7:8201."
    return _Endpoint.parse(f"http://{advertised}", complaint), False


def _own_host(server: _Endpoint, agent: _Endpoint) -> str:
    """Return this host's address as the agent sees it, of an address family that the server listens on."""
    family = socket.AF_UNSPEC if ":" in server.host else socket.AF_INET
    found = socket.getaddrinfo(agent.host, agent.port, family=family, type=socket.SOCK_DGRAM)
    with socket.socket(found[0][0], socket.SOCK_DGRAM) as probe:
        probe.connect(found[0][4])
        return str(probe.getsockname()[0])


def _agent(endpoint: _Endpoint) -> Any:  # noqa: ANN401 - the client has no types
    host, port, scheme = endpoint.url_host, endpoint.port, endpoint.scheme
    return Consul(host, port, scheme=scheme, connections_timeout=REQUEST_SECONDS).agent


def _reason(problem: Exception) -> str:
    """Return the status or the exception's type; the messages of the agent and client may quote the token."""
    if isinstance(problem, ACLPermissionDenied):
        return "403, HOC_CONSUL_TOKEN must allow service:write"
    status = re.match(r"[45]\d\d\b", str(problem))
    return status[0] if status else type(problem).__name__
