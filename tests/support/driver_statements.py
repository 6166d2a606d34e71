"""Every statement that a driver has as a constant."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import ClauseElement, Executable
from sqlalchemy.sql.expression import SelectBase, UpdateBase

from hoc.cus.account import L6_drivers


def driver_statements() -> dict[str, Executable]:
    """The drivers' statements by name."""
    modules = [found.name for found in pkgutil.iter_modules(L6_drivers.__path__)]
    return {
        f"{module}.{name}": statement
        for module in modules
        for name, statement in _within(vars(import_module(f"{L6_drivers.__name__}.{module}")))
    }


def _within(names: Mapping[str, object], depth: int = 2) -> Iterator[tuple[str, Executable]]:
    """The statements among these objects, and in their attributes and items."""
    for name, value in names.items():
        if isinstance(value, SelectBase | UpdateBase) and isinstance(value, Executable):
            yield name, value
        elif depth and not isinstance(value, type | ClauseElement):
            below = _within(_inside(value), depth - 1)
            yield from ((f"{name}.{path}", found) for path, found in below)


def _inside(value: Any) -> Mapping[str, object]:
    return value if issubclass(type(value), Mapping) else getattr(value, "__dict__", {})
