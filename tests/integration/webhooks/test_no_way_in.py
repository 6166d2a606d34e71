"""No webhook leads inside, however its URL is written, and no answer harms the sender."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.asyncresolver
import pytest
from support.certificates import Authority
from support.dns import dns_server
from support.receiver import Received, Receiver, receiver

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_engines.webhook_urls import Address, Network, may_be_sent_to
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L5_schemas.webhooks import LeasedWebhook, WebhookAttempt
from hoc.webhooks.client import WebhookClient
from hoc.webhooks.connecting import connection_pools

LOOPBACK = (ip_network("127.0.0.0/8"),)
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
EVENT = EventResult("evt_1", "tenant.updated", utc_now(), "ten_1", None, None, {"tenant_id": "ten_1"}, 1)


def endpoint(url: str) -> LeasedWebhook:
    return LeasedWebhook("ten_1", "wh_1", "me", url, (SECRET,), None, True, 0, 0, None)


def resolver(*addresses: str) -> Callable[[str], Awaitable[list[Address]]]:
    async def resolve(_host: str) -> list[Address]:
        return [ip_address(each) for each in addresses]

    return resolve


async def send(
    url: str,
    *addresses: str,
    allowed: tuple[Network, ...] = (),
    tls: ssl.SSLContext | None = None,
    seconds: float = 10,
) -> WebhookAttempt:
    """Send an event to a URL whose host has these addresses."""
    client = WebhookClient(
        connection_pools(resolver(*addresses), allowed, tls), "urn:test", deadline_seconds=seconds
    )
    try:
        return await client.send(endpoint(url), EVENT, asyncio.get_running_loop().time() + 60)
    finally:
        await client.close()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2001:0:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_inside_is_not_sent_to(address: str) -> None:
    assert not may_be_sent_to(ip_address(address), ())


@pytest.mark.parametrize("address", ["1.1.1.1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2606:4700::1111"])
def test_an_address_on_the_internet_is_sent_to(address: str) -> None:
    assert may_be_sent_to(ip_address(address), ())


@pytest.fixture
async def inside() -> AsyncGenerator[Receiver]:
    async with receiver() as taking:
        yield taking


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_leads_inside_is_not_connected_to(inside: Receiver, addresses: list[str]) -> None:
    attempt = await send(f"https://hooks.example.com:{inside.port}/", *addresses)
    assert attempt.error == "forbidden_address"
    assert inside.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_an_address_in_the_url_is_checked_too(inside: Receiver, host: str) -> None:
    assert (await send(f"https://{host}:{inside.port}/")).error == "forbidden_address"
    assert inside.connections == 0


async def test_without_tls_only_allowed_networks_are_asked(inside: Receiver) -> None:
    url = f"http://hooks.example.com:{inside.port}/"
    assert (await send(url, "1.1.1.1", allowed=LOOPBACK)).error == "forbidden_address"
    assert (await send(url, "127.0.0.1", allowed=LOOPBACK)).status == 204
    assert inside.requests[0].headers["host"] == f"hooks.example.com:{inside.port}"


async def test_a_name_is_resolved_once_for_a_connection(inside: Receiver) -> None:
    """A name that leads inside only the second time finds nobody who asks again."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(_host: str) -> list[Address]:
        return [ip_address(each) for each in next(answers)]

    client = WebhookClient(connection_pools(rebinding, LOOPBACK), "urn:test")
    until = asyncio.get_running_loop().time() + 60
    attempt = await client.send(endpoint(inside.url("hooks.example.com")), EVENT, until)
    await client.close()
    assert attempt.status == 204
    assert next(answers) == ["10.0.0.1"]


async def test_a_name_server_that_changes_its_mind_leads_nowhere(inside: Receiver) -> None:
    """A real name server gives an address outside, which is 127.0.0.2 here, then one inside, then both."""
    outside = (ip_network("127.0.0.2/32"),)
    with dns_server() as zone:
        zone.addresses["hooks.example.com"] = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]]
        by_dns = dns.asyncresolver.Resolver(configure=False)
        server, _, port = zone.address.rpartition(":")
        by_dns.nameservers, by_dns.port = [server], int(port)

        async def resolve(host: str) -> list[Address]:
            return [ip_address(each.to_text()) for each in await by_dns.resolve(host, "A")]

        async def attempted() -> WebhookAttempt:
            client = WebhookClient(connection_pools(resolve, outside), "urn:test")
            until = asyncio.get_running_loop().time() + 60
            attempt = await client.send(endpoint(inside.url("hooks.example.com")), EVENT, until)
            await client.close()
            return attempt

        async with receiver(address="127.0.0.2", port=inside.port) as taking:
            attempts = [await attempted() for _ in range(3)]
    assert [(each.status, each.error) for each in attempts] == [
        (204, None),
        (None, "forbidden_address"),
        (None, "forbidden_address"),
    ]
    assert (taking.connections, inside.connections) == (1, 0)
    assert zone.asked == ["udp hooks.example.com"] * 3


async def test_a_redirect_is_not_followed(inside: Receiver) -> None:
    there = f"HTTP/1.1 302 Found\r\nLocation: {inside.url()}\r\nContent-Length: 0\r\n\r\n".encode()
    async with receiver(lambda _received: there) as redirecting:
        attempt = await send(redirecting.url("a.example"), "127.0.0.1", allowed=LOOPBACK)
    assert attempt.status == 302
    assert not attempt.is_delivered
    assert inside.connections == 0


async def test_a_proxy_of_the_environment_is_not_used(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver(lambda _received: 500) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url(path=""))
        attempt = await send(inside.url("a.example"), "127.0.0.1", allowed=LOOPBACK)
    assert attempt.status == 204
    assert proxy.connections == 0


async def test_an_endless_answer_is_not_read() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            for _ in range(1_600):
                writer.write(b"x" * 65_536)
                await writer.drain()
                written += 65_536
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    attempt = await send(f"http://a.example:{port}/", "127.0.0.1", allowed=LOOPBACK)
    server.close()
    assert attempt.status == 200
    assert written < 20_000_000


async def test_an_answer_drop_by_drop_ends_at_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    attempt = await send(f"http://a.example:{port}/", "127.0.0.1", allowed=LOOPBACK, seconds=0.3)
    server.close()
    assert attempt.error == "timeout"


async def test_a_name_server_that_is_silent_ends_at_the_deadline() -> None:
    async def silent(_host: str) -> list[Address]:
        await asyncio.Event().wait()
        return []

    client = WebhookClient(connection_pools(silent, ()), "urn:test", deadline_seconds=0.1)
    until = asyncio.get_running_loop().time() + 60
    attempt = await client.send(endpoint("https://a.example/"), EVENT, until)
    await client.close()
    assert attempt.error == "timeout"


async def test_what_is_no_http_is_a_failure() -> None:
    async with receiver(lambda _received: b"SSH-2.0-OpenSSH\r\n\r\n") as taking:
        attempt = await send(taking.url("a.example"), "127.0.0.1", allowed=LOOPBACK)
    assert (attempt.status, attempt.error) == (None, "protocol")


async def test_a_name_without_an_address_is_named_so() -> None:
    assert (await send("https://a.example/")).error == "unresolved"


async def test_a_closed_port_is_unreachable() -> None:
    async with receiver() as gone:
        url = gone.url("a.example")
    assert (await send(url, "127.0.0.1", allowed=LOOPBACK)).error == "unreachable"


@pytest.mark.parametrize(("host", "error"), [("hooks.example.com", None), ("other.example.com", "tls")])
async def test_tls_verifies_the_name_and_not_the_address(
    tmp_path: Path, host: str, error: str | None
) -> None:
    authority = Authority.create(tmp_path / "root.pem")
    authority.certify("hooks.example.com", tmp_path / "cert.pem", tmp_path / "key.pem")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
    async with receiver(tls=serving) as taking:
        attempt = await send(taking.url(host), "127.0.0.1", allowed=LOOPBACK, tls=trusting)
        untrusted = await send(taking.url("hooks.example.com"), "127.0.0.1", allowed=LOOPBACK)
    assert attempt.error == error
    assert untrusted.error == "tls"
    assert [each.headers["host"] for each in taking.requests] == ([] if error else [f"{host}:{taking.port}"])


async def test_a_retry_after_is_read_as_seconds_or_a_date() -> None:
    def busy(_received: Received) -> bytes:
        return b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"

    async with receiver(busy) as taking:
        attempt = await send(taking.url("a.example"), "127.0.0.1", allowed=LOOPBACK)
    assert attempt.retry_after == 120
