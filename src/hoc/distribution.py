"""The installed distribution: its name, its version, and how to add what is missing."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

NAME: Final = "hoc-accounts"


def installed_version() -> str:
    """The version that is installed, such as ``0.1.0``."""
    return version(NAME)


def how_to_add(extra: str) -> str:
    """What to do where a library of an extra is missing, as the end of a sentence."""
    # While no index has the distribution, its name alone would install nothing.
    return f"install {NAME}[{extra}]: pip install '.[{extra}]' in a checkout of hoc"


@contextmanager
def needing(extra: str, subject: str) -> Generator[None]:
    """Import in this what an extra is for. Raises ValueError without it; ``subject`` begins the message."""
    try:
        yield
    except ImportError as missing:
        raise ValueError(f"{subject} the library {missing.name}: {how_to_add(extra)}.") from None
