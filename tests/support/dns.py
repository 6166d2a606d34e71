"""A real DNS server on loopback, of another library than the one that hoc asks with."""

# dnslib has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportArgumentType=false

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dnslib import CNAME, QTYPE, RCODE, RR, TXT, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

MAX_DATAGRAM = 512
"""What is longer is truncated, and asked for over TCP."""


class _SilenceError(Exception):
    """No answer is sent."""


@dataclass(slots=True)
class Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """TXT records by name, each a list of texts. Any other name does not exist.

    ``addresses`` are A records by name: what is answered first, then second, and so on.
    """

    address: str = ""
    records: dict[str, list[list[str]]] = field(default_factory=dict[str, list[list[str]]])
    addresses: dict[str, list[list[str]]] = field(default_factory=dict[str, list[list[str]]])
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    rcode: str | None = None
    """Answered instead of any record."""
    is_silent: bool = False
    asked: list[str] = field(default_factory=list[str])

    def publish(self, name: str, text: str) -> None:
        self.records.setdefault(name, []).append([text])

    def resolve(self, request: Any, handler: Any) -> Any:
        name = str(request.q.qname).rstrip(".")
        self.asked.append(f"{handler.protocol} {name}")
        if self.is_silent:
            raise _SilenceError
        reply = request.reply()
        if self.addresses.get(name) and request.q.qtype == QTYPE.A:
            for address in self.addresses[name].pop(0):
                reply.add_answer(RR(name, QTYPE.A, rdata=A(address)))
            return reply
        if name in self.aliases:
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(self.aliases[name])))
            name = self.aliases[name]
        if self.rcode is not None or name not in self.records:
            reply.header.rcode = getattr(RCODE, self.rcode or "NXDOMAIN")
            return reply
        for texts in self.records[name]:
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(texts)))
        if handler.protocol == "udp" and len(reply.pack()) > MAX_DATAGRAM:
            reply = request.reply()
            reply.header.tc = 1
        return reply


class _Quiet(DNSLogger):  # type: ignore[misc]  # see above
    def log_error(self, handler: Any, e: Exception) -> None:
        """Say nothing."""


@contextmanager
def dns_server() -> Generator[Zone]:
    """Serve a zone over UDP and TCP at its address until the end of the block."""
    zone = Zone()
    servers = _servers(zone)
    port = servers[0].server.server_address[1]
    zone.address = f"127.0.0.1:{port}"
    for server in servers:
        server.start_thread()
    try:
        yield zone
    finally:
        for server in servers:
            server.stop()
            server.server.server_close()


def _servers(zone: Zone) -> tuple[DNSServer, DNSServer]:
    """One for TCP and one for UDP, at the same port, which may be taken for one of them."""
    logger = _Quiet("-request,-reply,-truncated,-error", "")
    while True:
        tcp = DNSServer(zone, address="127.0.0.1", port=0, tcp=True, logger=logger)
        port = tcp.server.server_address[1]
        try:
            return tcp, DNSServer(zone, address="127.0.0.1", port=port, logger=logger)
        except OSError:
            tcp.server.server_close()
