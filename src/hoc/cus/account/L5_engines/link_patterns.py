"""The patterns of links in mails: `{public_url}/invitations/{invitation_id}#token={token}`."""

import re
from string import Formatter
from typing import Final
from urllib.parse import quote, urlsplit

EMAIL_CHANGE_URL: Final = "http://127.0.0.1:8201/email-changes#token={token}"
"""The pattern of a service that is given none."""


def link_pattern(setting: str, pattern: str, public_url: str, *names: str) -> str:
    """The pattern with the public URL in it. ``setting`` is the pattern's, for messages.

    ``public_url`` is configuration (HOC_PUBLIC_URL), never a request's Host header. Raises ValueError if it
    is not an absolute http(s) URL without query and fragment, or the pattern has not exactly ``names``.
    """
    base = urlsplit(public_url)
    if base.scheme not in {"http", "https"} or not base.hostname or base.query or base.fragment:
        raise ValueError(
            "HOC_PUBLIC_URL must be an absolute http(s) URL without query and fragment,"
            f" such as https://app.example.com; it is {public_url!r}"
        )
    try:
        found = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
    except ValueError:
        found = set[str]()
    shown = ", ".join(f"{{{name}}}" for name in names)
    if found - {"public_url"} != set(names):
        raise ValueError(
            f"{setting} must contain {shown}, and otherwise only {{public_url}}; it is {pattern!r}"
        )
    based = pattern.replace("{public_url}", public_url.rstrip("/"))
    sample = urlsplit(filled(based, **dict.fromkeys(names, "x")))
    if sample.scheme not in {"http", "https"} or not sample.hostname or any(map(str.isspace, based)):
        raise ValueError(f"{setting} must lead to an absolute http(s) URL; it is {pattern!r}")
    return based


def filled(pattern: str, **values: str) -> str:
    """The link with these values, percent-encoded."""
    return re.sub(r"\{(\w+)\}", lambda found: quote(values[found[1]], safe=""), pattern)
