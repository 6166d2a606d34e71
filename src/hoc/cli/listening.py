"""The socket that `hoc serve` listens on."""

import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv6Address, ip_address

from hoc.cli.errors import CommandError

_BACKLOG = 2_048


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric IP address with a port. `family` is the socket's address family."""

    family: int
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """The URL by which this machine reaches it."""
        ip = ip_address(self.host)
        is_v6 = isinstance(ip, IPv6Address)
        host = ("::1" if is_v6 else "127.0.0.1") if ip.is_unspecified else self.host
        return f"http://[{host}]:{self.port}" if is_v6 else f"http://{host}:{self.port}"


def resolve(host: str, port: int) -> Address:
    """Look up `--host`; CommandError when there is no such host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CommandError(f"--host {host}: there is no such host.") from None
    family, _, _, _, address = found[0]
    return Address(family, str(address[0]), port)


@contextmanager
def bound(address: Address) -> Generator[tuple[socket.socket, Address]]:
    """Bind a socket to the address, without listening yet. The returned address has the real port for port 0.

    Raises:
        CommandError: the address is taken, or is not this machine's.
    """
    with _listening_errors(address):
        listener = socket.socket(address.family, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _listening_errors(address):
            listener.bind((address.host, address.port))
        yield listener, Address(address.family, address.host, int(listener.getsockname()[1]))


def listen(listener: socket.socket, address: Address) -> None:
    """Listen on a bound socket; CommandError when another process listens already."""
    with _listening_errors(address):
        listener.listen(_BACKLOG)


@contextmanager
def _listening_errors(address: Address) -> Generator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {address.port} on {address.host} is taken by another program."
                " Stop that program, or choose another --port."
            ) from None
        raise CommandError(
            f"The server cannot listen on port {address.port} of {address.host} ({problem.strerror})."
        ) from None


def answers(address: Address) -> bool:
    """Whether the server at this address answers requests; an open port is not enough."""
    connection = HTTPConnection(address.url.removeprefix("http://"), timeout=1)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
