"""E-mail addresses: their syntax, what mail is sent to, and the key by which they are compared."""

import re
import unicodedata

import idna
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
_NOT_IN_ENVELOPE = re.compile(r'[\s\x00-\x1f\x7f-\x9f\ud800-\udfff()<>\[\]@,:;\\"]|=\?')
_SPECIAL_ENDINGS = tuple(f".{domain}" for domain in SPECIAL_USE_DOMAIN_NAMES)
_SPECIAL_TOPS = {domain.rpartition(".")[2] for domain in SPECIAL_USE_DOMAIN_NAMES}


def parse_email(address: str, *, field: str = "email", special_use: bool = False) -> EmailAddress:
    """Check an address's syntax (RFC 5321 and 6531, without DNS) and return it with its key.

    ``special_use`` permits the names that no public mail reaches (RFC 6761), such as corp.local.

    Raises InvalidInputError (no mail can be sent to it).
    """
    given = address.strip()
    if not is_plain(given):
        validate(given, field, special_use=special_use)
    return EmailAddress(given=given, key=email_key(given))


def is_plain(given: str) -> bool:
    """Whether `validate` is known to accept this address."""
    matched = PLAIN.fullmatch(given) if len(given) <= _MAX_PLAIN else None
    return matched is not None and matched["top"].lower() not in _SPECIAL_TOPS


def validate(given: str, field: str, *, special_use: bool = False) -> None:
    """Raise InvalidInputError unless this is an address that mail can be sent to."""
    # email-validator cannot permit these names, and checks the rest of the address below another one, too.
    checked = f"{given}.com" if special_use and given.lower().endswith(_SPECIAL_ENDINGS) else given
    try:
        validate_email(checked, strict=True, check_deliverability=False, test_environment=True)
        envelope(given)
    except (EmailNotValidError, UnicodeError) as problem:
        detail = "is not valid text" if isinstance(problem, UnicodeError) else str(problem)
        raise InvalidInputError.of(field, detail) from None
    except ValueError as problem:
        raise InvalidInputError.of(field, f"cannot be mailed to: {problem}") from None


def email_key(address: str) -> str:
    """The key by which addresses are compared: two that reach the same mailbox have the same one.

    The local part is folded, and the domain is the one that is mailed to. Other text is folded as a whole.
    """
    address = address.strip()
    if address.isascii():
        return address.lower()
    try:
        local, domain = envelope(address)
    except ValueError:
        return fold(address)
    return f"{fold(local)}@{domain.lower()}"


def envelope(address: str) -> tuple[str, str]:
    """What mail is sent to: the local part as it is, and the domain, as IDNA 2008 A-labels unless in ASCII.

    UTS 46 maps the domain, so that full-width letters and dots become ASCII, and capitals small.

    Raises ValueError for quoted local parts, for domain literals, for a domain that is not a valid
    internationalized name, and for an RFC 2047 encoded word: its characters are legal, but the email package
    would decode it, with any line breaks.
    """
    local, _, domain = address.rpartition("@")
    if not local or not domain or _NOT_IN_ENVELOPE.search(local) or _NOT_IN_ENVELOPE.search(domain):
        raise ValueError("it is not of the form local@domain")
    if domain.isascii():
        return local, domain
    try:
        return local, idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("its domain is not a valid internationalized name") from None


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
