"""Checks of URLs that others give, before anybody's browser is led to them."""

import re
from urllib.parse import urlsplit

from hoc.cus.account.L5_schemas.errors import InvalidInputError

MAX_URL_LENGTH = 2_048

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""The characters of a URL (RFC 3986). All others are percent-encoded."""


def https_url(field: str, url: str) -> str:
    """Return an absolute https URL with its scheme in lower case.

    Raises InvalidInputError: another scheme, no host, a user name or a password, too long, or a character
    that a URL does not contain.
    """
    if not _is_https(url):
        raise InvalidInputError.of(
            field,
            f"must be an https URL of at most {MAX_URL_LENGTH:,} characters of ASCII, without a user name,"
            " such as https://example.com/ada.png",
        )
    return "https" + url[len("https") :]


def has_only_url_characters(url: str) -> bool:
    return _CHARACTERS.fullmatch(url) is not None


def _is_https(url: str) -> bool:
    if len(url) > MAX_URL_LENGTH or not has_only_url_characters(url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and port != 0
