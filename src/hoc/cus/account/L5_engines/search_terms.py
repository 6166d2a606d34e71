"""What people type to find an account."""

from typing import Final

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError

MAX_TERM_LENGTH: Final = 255
MAX_SHORT_TERM_LENGTH: Final = 2


def search_term(name: str, term: str | None) -> str | None:
    """Fold a term as names and addresses are. None: it is empty. Raises InvalidInputError."""
    if term is None or not term.strip():
        return None
    if len(term) > MAX_TERM_LENGTH or not is_storable_id(term):
        raise InvalidInputError.of_parameter(
            name, f"must be at most {MAX_TERM_LENGTH} characters without control characters"
        )
    return fold(term.strip())


def member_term(name: str, term: str | None) -> str | None:
    """The same for the members of a tenant. A term of one or two characters is the beginning of a word.

    Among all the texts of a large tenant, an index finds no shorter parts.
    """
    folded = search_term(name, term)
    return f" {folded}" if folded is not None and len(folded) <= MAX_SHORT_TERM_LENGTH else folded
