"""Restricts a backend to callers on this machine."""

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection

_LONGEST_ADDRESS = 64  # an IPv6 address with a zone
_HOST = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::[0-9]*)?", re.ASCII)


class LoopbackOnly(AuthenticationBackend):
    """Asks `backend` about requests that arrive on loopback from loopback. Everyone else is nobody.

    The server's socket says so, not a header. A caller whom the backend knows must also have named this
    machine in `Host`, by localhost or a loopback address: a web page that reaches it by DNS rebinding names
    its own host there, and gets AuthenticationError.
    """

    def __init__(self, backend: AuthenticationBackend) -> None:
        self._backend = backend

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        ends: list[tuple[str, int | None] | None] = [conn.scope.get("server"), conn.scope.get("client")]
        if not all(end is not None and _is_loopback(end[0]) for end in ends):
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
    hosts = conn.headers.getlist("host")
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None:
        return False
    if found["v6"] is not None:
        return _is_loopback(found["v6"]) and ":" in found["v6"]
    return found["name"].lower() == "localhost" or _is_loopback(found["name"])


def _is_loopback(address: str) -> bool:
    """Whether it is an address of 127.0.0.0/8 or ::1, also of an IPv4 caller on an IPv6 socket."""
    return len(address) <= _LONGEST_ADDRESS and _parsed_is_loopback(address)


@lru_cache(maxsize=256)  # parsing the three addresses of a request would take a tenth of its time
def _parsed_is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
