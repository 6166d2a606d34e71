"""Connections to endpoints: a name is resolved once, each address is checked, and one of these is used."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final, TypeAlias, cast

import httpcore

from hoc.cus.account.L5_engines.webhook_urls import Address, Network, is_allowed, may_be_sent_to

Resolve: TypeAlias = Callable[[str], Awaitable[list[Address]]]
MayConnect: TypeAlias = Callable[[Address], bool]

LOOKUPS_AT_ONCE: Final = 64
KEEPALIVE_SECONDS: Final = 3.0
"""Shorter than most servers keep a connection, so that none is closed just as an event is sent."""
MAX_IDLE: Final = 100


class UnresolvedError(httpcore.ConnectError):
    """The host has no address."""


class ForbiddenAddressError(httpcore.ConnectError):
    """An address of the host is one to which nothing is sent."""


class SystemResolver:
    """Resolves names as the system does, in threads of its own: slow name servers make nothing else wait."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="hoc-webhook-lookup")

    async def __call__(self, host: str) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _addresses, host)
        except OSError:
            return []
        return [ip_address(each) for each in found]

    def close(self) -> None:
        """Do not wait for lookups under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # A zone, as in fe80::1%eth0, is of link-local addresses, which nothing is sent to.
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that ``may_connect``. TLS verifies the name all the same.

    The address that is connected to is the one that was checked, whatever the name leads to by then.
    """

    def __init__(self, resolve: Resolve, may_connect: MayConnect) -> None:
        self._resolve = resolve
        self._may_connect = may_connect
        # To a type checker it may be the stand-in that httpcore has where anyio is not installed.
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - of the base class
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._checked(host)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(
            str(addresses[-1]), port, timeout, local_address, socket_options
        )

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - of the base class
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - of the base class
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - of the base class
    ) -> httpcore.AsyncNetworkStream:
        raise ForbiddenAddressError("Events are sent over TCP alone.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _checked(self, host: str) -> list[Address]:
        try:
            addresses = [ip_address(host)]
        except ValueError:
            addresses = await self._resolve(host)
        if not addresses:
            raise UnresolvedError("the host has no address")
        if not all(map(self._may_connect, addresses)):
            raise ForbiddenAddressError("the host has an address to which nothing is sent")
        return addresses


def connection_pools(
    resolve: Resolve, allowed: tuple[Network, ...], tls: ssl.SSLContext | None = None
) -> dict[bytes, httpcore.AsyncConnectionPool]:
    """The connections by scheme: https to the internet and allowed networks, http to the latter alone.

    No proxy of the environment is used, and no redirect followed.
    """

    def with_tls(address: Address) -> bool:
        return may_be_sent_to(address, allowed)

    def without_tls(address: Address) -> bool:
        return is_allowed(address, allowed)

    return {
        scheme: httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=None,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=CheckedBackend(resolve, may_connect),
        )
        for scheme, may_connect in ((b"https", with_tls), (b"http", without_tls))
    }
