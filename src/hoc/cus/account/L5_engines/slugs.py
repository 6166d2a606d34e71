"""Slugs: a project's name in URLs."""

import re
import secrets
import unicodedata

from hoc.cus.account.L5_schemas.errors import InvalidInputError

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# Latin letters that Unicode does not decompose into a letter of ASCII and a mark.
_LETTERS = str.maketrans(
    {
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ł": "l",
        "þ": "th",
        "ħ": "h",
        "ŧ": "t",
        "\u0131": "i",
    }
)


def checked_slug(slug: str) -> str:
    """Return the slug. Raises InvalidInputError."""
    if not _SLUG.fullmatch(slug):
        raise InvalidInputError.of("slug", "must be 1 to 63 characters of a-z, 0-9 and inner hyphens")
    return slug


def slug_candidates(name: str) -> list[str]:
    """Slugs for a project with this name, to be tried in this order. The later ones have a random ending.

    Letters lose their marks: ``Ünïcödé & Söhne`` becomes ``unicode-sohne``. A name without Latin letters and
    digits becomes ``project``.
    """
    folded = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-") or "project"
    return [base, f"{base}-{secrets.token_hex(3)}", f"{base}-{secrets.token_hex(6)}"]
