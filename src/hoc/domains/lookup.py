"""Looking up a domain's record in DNS."""

from ipaddress import ip_address
from typing import Final

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration

from hoc.cus.account.L5_schemas.values import DomainLookup

LIFETIME_SECONDS: Final = 10.0
TIMEOUT_SECONDS: Final = 3.0
"""Of one server's answer; then it is asked again, or another is."""
DNS_PORT: Final = 53


class DnsLookup:
    """Asks DNS for TXT records, within ``seconds``.

    ``servers`` are addresses, or address:port, separated by commas; None: those that the system uses.

    Raises ValueError for what is no such list, or where the system has no servers.
    """

    def __init__(self, servers: str | None = None, *, seconds: float = LIFETIME_SECONDS) -> None:
        try:
            self._resolver = Resolver(configure=servers is None)
        except NoResolverConfiguration:
            raise ValueError("The system names no DNS servers. Name some in HOC_DNS_SERVERS.") from None
        if servers is not None:
            self._resolver.nameservers = [_server(each.strip()) for each in servers.split(",")]
        self._resolver.lifetime = seconds
        self._resolver.timeout = min(seconds, TIMEOUT_SECONDS)
        self._resolver.cache = None

    async def __call__(self, name: str, text: str) -> DomainLookup:
        """Whether the name has a TXT record with this text. A server's failure is no missing record."""
        try:
            answer = await self._resolver.resolve(f"{name}.", "TXT")
        except (NXDOMAIN, NoAnswer):
            return DomainLookup.MISSING
        except (DNSException, OSError):
            return DomainLookup.UNREACHABLE
        # A record is a list of texts of at most 255 bytes, which are meant as one.
        found = any(b"".join(record.strings) == text.encode() for record in answer)
        return DomainLookup.FOUND if found else DomainLookup.MISSING


def _server(given: str) -> Do53Nameserver:
    address, port = given, str(DNS_PORT)
    if given.startswith("["):
        address, _, port = given[1:].partition("]")
        port = port.removeprefix(":") or str(DNS_PORT)
    elif given.count(":") == 1:
        address, _, port = given.partition(":")
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:  # noqa: PLR2004 - the ports that there are
        raise _wrong(given)
    try:
        ip_address(address)
    except ValueError:
        raise _wrong(given) from None
    return Do53Nameserver(address, int(port))


def _wrong(given: str) -> ValueError:
    return ValueError(
        f"HOC_DNS_SERVERS: {given!r} is not the IP address of a DNS server, with or without a port;"
        " write 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:5353, several by commas."
    )
