"""Checks of the URLs that events are sent to. The addresses of a host are checked at each connection."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from hoc.cus.account.L5_engines.urls import MAX_URL_LENGTH, has_only_url_characters
from hoc.cus.account.L5_schemas.errors import InvalidInputError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
# The last label is no number: "127.1" and "0x7f.1" are addresses to a resolver.
_NAME: Final = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*(?!(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?$){_LABEL}\.?")
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Addresses that stand for IPv4 ones: deprecated, and of NAT64 within one network (RFC 8215).
_NOT_PUBLIC: Final = (IPv6Network("::/96"), IPv6Network("64:ff9b:1::/48"))
# Reachable only from inside a cloud, though their numbers are public.
_METADATA: Final = frozenset({ip_address("168.63.129.16"), ip_address("192.0.0.192")})
_LOWEST_PORT: Final = 1_024
_HTTP_PORTS: Final = (80, 443)


def may_be_sent_to(address: Address, allowed: tuple[Network, ...]) -> bool:
    """Whether events may go to an address: one on the internet, or in a network that the operator allows.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is judged as that one, too.
    """
    embedded = _embedded(address)
    if any(each in network for network in allowed for each in (address, *embedded)):
        return True
    return all(_is_public(each) for each in (address, *embedded) if each not in _NAT64)


def is_allowed(address: Address, allowed: tuple[Network, ...]) -> bool:
    """Whether an address is in a network that the operator allows, which is asked for without TLS."""
    return any(each in network for network in allowed for each in (address, *_embedded(address)))


def _embedded(address: Address) -> tuple[Address, ...]:
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return () if address.sixtofour is None else (address.sixtofour,)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return True  # judged by the address that it stands for
        if (
            address.is_site_local
            or address.teredo is not None
            or any(address in each for each in _NOT_PUBLIC)
        ):
            return False
    return address.is_global and not address.is_multicast and address not in _METADATA


def webhook_url(field: str, url: str, allowed: tuple[Network, ...]) -> str:
    """Return the URL of an endpoint with its scheme in lower case.

    Raises InvalidInputError: it is no https URL (or http, where the operator allows networks), it has a user
    name or a fragment, its port is below 1024 and neither 80 nor 443, or its host is an address to which
    nothing is sent.
    """
    wrong = InvalidInputError.of(
        field,
        f"must be an https URL of at most {MAX_URL_LENGTH:,} characters of ASCII, without a user name or a"
        " fragment, such as https://example.com/webhooks",
    )
    if len(url) > MAX_URL_LENGTH or not has_only_url_characters(url) or "#" in url:
        raise wrong
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    schemes = {"https", "http"} if allowed else {"https"}
    host = parts.hostname or ""
    if parts.scheme not in schemes or "@" in parts.netloc or not host:
        raise wrong
    if port is not None and port < _LOWEST_PORT and port not in _HTTP_PORTS:
        raise InvalidInputError.of(field, "must have the port 443, 80, or one from 1024 on")
    _check_host(field, host, allowed, is_plain=parts.scheme == "http")
    return parts.scheme + url[len(parts.scheme) :]


def _check_host(field: str, host: str, allowed: tuple[Network, ...], *, is_plain: bool) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host):
            raise InvalidInputError.of(field, "must have a host name, or an IP address") from None
        return
    is_fit = is_allowed(address, allowed) if is_plain else may_be_sent_to(address, allowed)
    if not is_fit or getattr(address, "scope_id", None):
        raise InvalidInputError.of(field, "must have an address on the internet, and not a private one")
