"""How long the property tests search: longer in `make torture`, which also prints what they did."""

import os
from collections import Counter
from typing import Final

_IS_TORTURE: Final = "HOC_TEST_TORTURE" in os.environ

TALLY: Final = Counter[str]()
"""What the tests of this process have done, and how often."""


def examples(usual: int, *, torture: int) -> int:
    """How many examples to try of a property."""
    return torture if _IS_TORTURE else usual
