"""Checks of whole numbers from Python callers, whom no type keeps from passing 19.99, True or a Decimal."""


def is_whole(value: object) -> bool:
    """Whether the value is an int. True and False are not, although Python counts with them."""
    return isinstance(value, int) and not isinstance(value, bool)


def why_not_whole(value: object, low: int, high: int) -> str | None:
    """Return why the value is not an int from ``low`` to ``high``, or None if it is one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be a whole number, an int, not {type(value).__name__}"
    return None if low <= value <= high else f"must be {low} to {high}"
