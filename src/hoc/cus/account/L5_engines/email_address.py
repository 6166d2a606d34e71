"""E-mail addresses: their syntax, and the key by which they are compared. No other module has either."""

import re
import unicodedata

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.port_types import EmailAddress

# The characters that Unicode's composition (NFC) would turn into K, ; and `.
_COMPOSES_TO_ASCII = re.compile("([\N{KELVIN SIGN}\N{GREEK QUESTION MARK}\N{GREEK VARIA}])")

# The form of nearly all addresses. email-validator accepts each of these, at twenty times the cost.
PLAIN = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"  # the usual ones of the permitted characters
    r"@(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+(?P<top>[A-Za-z]{2,24})"
)
_MAX_PLAIN = 63  # in so short an address, no part can be too long
_SPECIAL_TOPS = {domain.rpartition(".")[2] for domain in SPECIAL_USE_DOMAIN_NAMES}


def parse_email(address: str, *, field: str = "email") -> EmailAddress:
    """Check an address's syntax (RFC 5321 and 6531, without DNS) and return it with its key.

    Raises InvalidInputError (no mail can be sent to it).
    """
    given = address.strip()
    if not is_plain(given):
        validate(given, field)
    return EmailAddress(given=given, key=email_key(given))


def is_plain(given: str) -> bool:
    """Whether `validate` is known to accept this address."""
    matched = PLAIN.fullmatch(given) if len(given) <= _MAX_PLAIN else None
    return matched is not None and matched["top"].lower() not in _SPECIAL_TOPS


def validate(given: str, field: str) -> None:
    """Raise InvalidInputError unless this is an address."""
    try:
        validate_email(given, strict=True, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeError) as problem:
        detail = str(problem) if isinstance(problem, EmailNotValidError) else "is not valid text"
        raise InvalidInputError.of(field, detail) from None


def email_key(address: str) -> str:
    """The key by which addresses are compared."""
    return fold(address.strip())


def fold(text: str) -> str:
    """Fold case so that two different addresses never become equal.

    A character is lowered only where that can be undone: the Kelvin sign, the dotted capital I and the
    capital sharp s stay as they are instead of becoming k, i and ß (CVE-2019-19844). PostgreSQL never folds:
    it compares what is stored.
    """
    if text.isascii():
        return text.lower()
    composed = (
        part if _COMPOSES_TO_ASCII.match(part) else unicodedata.normalize("NFC", part)
        for part in _COMPOSES_TO_ASCII.split(text)
    )
    return "".join(_lower(character) for part in composed for character in part)


def _lower(character: str) -> str:
    lowered = character.lower()
    return lowered if lowered.upper() == character else character
