"""The names of e-mail domains, as they are stored and compared."""

from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_schemas.domains import RECORD_PREFIX
from hoc.cus.account.L5_schemas.errors import InvalidInputError

_MAX_LENGTH = 253 - len(RECORD_PREFIX)


def domain_of(email_key: str) -> str:
    """The domain of an address, by the key that the address is compared by."""
    return email_key.rpartition("@")[2]


def parse_domain(domain: str, *, special_use: bool = False) -> str:
    """Return a domain that mail can be sent to in lower case, of A-labels. Raises InvalidInputError."""
    given = domain.strip()
    if not 1 <= len(given) <= _MAX_LENGTH or "@" in given:
        raise InvalidInputError.of("domain", "must be the name of a domain, such as example.com")
    # What follows the @ of an address is checked and compared as every address is.
    name = domain_of(parse_email(f"a@{given}", field="domain", special_use=special_use).key)
    if len(name) > _MAX_LENGTH:
        raise InvalidInputError.of("domain", f"must have {_MAX_LENGTH} characters at most")
    return name


def known_domain(domain: str) -> str | None:
    """The name as it is stored. None: no tenant can have claimed such a domain."""
    try:
        return parse_domain(domain, special_use=True)
    except InvalidInputError:
        return None
