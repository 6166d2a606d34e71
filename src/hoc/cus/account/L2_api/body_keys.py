"""Refusing a body with far more keys than its type has, before pydantic describes each of them."""

from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import Any, ClassVar, cast, get_args, get_origin, get_type_hints

from hoc.cus.account.L2_api.problems import MAX_PROBLEMS, escaped
from hoc.cus.account.L5_schemas.errors import FieldProblem, InvalidInputError

_CONTAINERS = (dict, list)


def check_keys(body: Any, model: Any) -> None:  # noqa: ANN401 - decoded JSON; a class or an alias of one
    """Raise InvalidInputError if the body has too many keys, nested ones too.

    A field that takes an object or a list may have any number. So may the body of a type without fields.
    """
    fields, free = _fields(model)
    if not fields or not _has_more(body, len(fields) + MAX_PROBLEMS, free):
        return
    keys = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    unknown = islice((key for key in keys if key not in fields), MAX_PROBLEMS)
    raise InvalidInputError(
        f"The body has too many keys or items. Its keys are {', '.join(fields)}.",
        problems=tuple(FieldProblem("/" + escaped(key), "Extra inputs are not permitted") for key in unknown),
    )


@cache
def _fields(model: Any) -> tuple[tuple[str, ...], frozenset[str]]:  # noqa: ANN401 - as above
    """The fields of a body's type, and those of them that take an object or a list."""
    hints = get_type_hints(model) if isinstance(model, type) else {}
    fields = {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}
    free = {
        name
        for name, hint in fields.items()
        if any(get_origin(part) in _CONTAINERS for part in (hint, *get_args(hint)))
    }
    return tuple(fields), frozenset(free)


def _has_more(body: Any, most: int, free: frozenset[str]) -> bool:  # noqa: ANN401 - as above
    """Whether there are more than ``most`` keys and items at all levels."""
    containers: list[Any] = [body] if isinstance(body, _CONTAINERS) else []
    for container in containers:
        most -= len(container)
        if most < 0:
            return True
        for key, value in _items(container):
            if isinstance(value, _CONTAINERS) and not (container is body and key in free):
                containers.append(value)
    return False


def _items(container: dict[str, Any] | list[Any]) -> Iterable[tuple[object, Any]]:
    return container.items() if isinstance(container, dict) else enumerate(container)
