"""The socket that `hoc serve` listens on."""

import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv6Address, ip_address

from hoc.cli.problems import CommandError

_BACKLOG = 2_048


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric address and port; `family` is the socket's."""

    family: int
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        ip = ip_address(self.host)
        is_v6 = isinstance(ip, IPv6Address)
        host = ("::1" if is_v6 else "127.0.0.1") if ip.is_unspecified else self.host
        return f"http://[{host}]:{self.port}" if is_v6 else f"http://{host}:{self.port}"


def resolve(host: str, port: int) -> Address:
    """Look up `--host`; CommandError if it is no address of anything."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CommandError(f"--host {host}: there is no such host.") from None
    family, _, _, _, address = found[0]
    return Address(family, str(address[0]), port)


@contextmanager
def bound(address: Address) -> Generator[tuple[socket.socket, Address]]:
    """Reserve the address, without listening yet; port 0 becomes the port that was given.

    Raises:
        CommandError: it is taken, or not this machine's.
    """
    with _explained(address):
        listener = socket.socket(address.family, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _explained(address):
            listener.bind((address.host, address.port))
        yield listener, Address(address.family, address.host, int(listener.getsockname()[1]))


def listen(listener: socket.socket, address: Address) -> None:
    """Listen on what is bound; CommandError if another process was faster."""
    with _explained(address):
        listener.listen(_BACKLOG)


@contextmanager
def _explained(address: Address) -> Generator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {address.port} on {address.host} is taken by another program;"
                " stop that, or choose another --port."
            ) from None
        raise CommandError(
            f"Port {address.port} on {address.host} cannot be listened on ({problem.strerror})."
        ) from None


def answers(address: Address) -> bool:
    """Whether the server at this address answers, rather than only having its port open."""
    connection = HTTPConnection(address.url.removeprefix("http://"), timeout=1)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
