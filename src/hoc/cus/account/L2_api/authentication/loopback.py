"""Restricts a backend to callers on this machine."""

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection

_LONGEST_ADDRESS = 64  # an IPv6 address with a zone
_HOST = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::[0-9]*)?", re.ASCII)
_LONGEST_HOST = _LONGEST_ADDRESS + len("[]:65535")


class LoopbackOnly(AuthenticationBackend):
    """Asks `backend` about requests that arrive on loopback from loopback. Everyone else is nobody.

    The server's socket says so, not a header. A caller whom the backend knows must also have named this
    machine in `Host`, by localhost or a loopback address: a web page that reaches it by DNS rebinding names
    its own host there, and gets AuthenticationError.
    """

    def __init__(self, backend: AuthenticationBackend) -> None:
        self._backend = backend

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        server, client = conn.scope.get("server"), conn.scope.get("client")
        if not server or not client or not (_is_loopback(server[0]) and _is_loopback(client[0])):
            return None
        known = await self._backend.authenticate(conn)
        if known is not None and not _names_loopback(conn):
            raise AuthenticationError(
                "Development tokens are taken only under this machine's own name."
                " Send the request to localhost, 127.0.0.1 or [::1], not to another name for it."
            )
        return known


def _names_loopback(conn: HTTPConnection) -> bool:
    """Whether the request has one Host header, which is localhost or a loopback address."""
    hosts: list[bytes] = [value for name, value in conn.scope["headers"] if name == b"host"]
    return len(hosts) == 1 and len(hosts[0]) <= _LONGEST_HOST and _is_loopback_host(hosts[0])


# Parsing the three addresses of a request would take a tenth of its time.
@lru_cache(maxsize=256)
def _is_loopback_host(host: bytes) -> bool:
    found = _HOST.fullmatch(host.decode("latin-1"))
    if found is None:
        return False
    if found["v6"] is not None:
        return _is_loopback(found["v6"]) and ":" in found["v6"]
    return found["name"].lower() == "localhost" or _is_loopback(found["name"])


def _is_loopback(address: str) -> bool:
    """Whether it is an address of 127.0.0.0/8 or ::1, also of an IPv4 caller on an IPv6 socket."""
    return len(address) <= _LONGEST_ADDRESS and _parsed_is_loopback(address)


@lru_cache(maxsize=256)
def _parsed_is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
