"""Whether work that failed may have changed something all the same."""

from contextvars import ContextVar


class Effect:
    """The effect of a request, or of one call. ``is_possible``: something may have been changed for good."""

    __slots__ = ("is_possible",)

    def __init__(self) -> None:
        self.is_possible = False


tracked_effect: ContextVar[Effect | None] = ContextVar("hoc.effect", default=None)
"""The effect of the block with a time limit that runs this; None outside of such a block."""


def current_effect() -> Effect:
    """The tracked effect, else a new one."""
    return tracked_effect.get() or Effect()
