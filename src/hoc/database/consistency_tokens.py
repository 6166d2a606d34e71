"""Positions in the primary's log as opaque tokens."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

NOWHERE: Final = 2**64
"""A position that no log reaches: a read that must have it is on the primary."""

_VERSION: Final = b"\x01"
_POSITION_BYTES: Final = 8


def token_of(position: int) -> str:
    return urlsafe_b64encode(_VERSION + position.to_bytes(_POSITION_BYTES, "big")).decode()


def position_of(token: str) -> int:
    """The position in a token, and `NOWHERE` for one that another version made, or nobody."""
    try:
        raw = urlsafe_b64decode(token)
    except ValueError:
        return NOWHERE
    if len(raw) != 1 + _POSITION_BYTES or not raw.startswith(_VERSION):
        return NOWHERE
    return int.from_bytes(raw[1:], "big")
