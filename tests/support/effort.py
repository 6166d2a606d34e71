"""How long the property tests search. `make torture` has them search many times longer, and counts."""

import os
from collections import Counter
from typing import Final

_TIMES: Final = int(os.environ.get("HOC_TEST_TIMES", "1"))

TALLY: Final = Counter[str]()
"""What the tests of this process have done, and how often."""


def examples(count: int) -> int:
    """How many examples to try of a property."""
    return count * _TIMES
