"""Checks of the environment's ``HOC_`` variables and of URLs, for `hoc.settings`."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

PREFIX: Final = "HOC_"
# Kubernetes sets the first ones in every container beside a Service that is called `hoc`.
_NOT_OURS: Final = re.compile(
    r"HOC_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)|HOC_TEST_\w+"
)


def unknown_variables(environment: Iterable[str], fields: Collection[str]) -> list[str]:
    """A message for each variable that begins with `HOC_` and is no setting. It names the nearest setting."""
    known = {f"{PREFIX}{field.upper()}" for field in fields}
    unknown = sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not _NOT_OURS.fullmatch(name.upper())
    )
    return [f"{name} is no setting of hoc{_nearest(name.upper(), known)}" for name in unknown]


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def check_http_url(url: str) -> None:
    """Raise ValueError unless this is an absolute http(s) URL."""
    try:
        parts = urlsplit(url)
        is_absolute = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_absolute = False
    if not is_absolute:
        raise ValueError("expected an absolute URL such as https://app.example.com")
