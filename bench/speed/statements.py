"""hoc's own statements as text, for the yardstick and pgbench."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql import asyncpg

_PREFIX = "given_"


@dataclass(frozen=True, slots=True)
class Statement:
    """The text with ``$1``…, the parameters' names in that order, and the values that are constant."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, statement: Executable) -> Self:
        compiled = statement.compile(dialect=asyncpg.dialect())
        names = tuple(compiled.positiontup or ())
        constants = {name: compiled.params[name] for name in names if not name.startswith(_PREFIX)}
        return cls(str(compiled), tuple(name.removeprefix(_PREFIX) for name in names), constants)

    def arguments(self, **given: object) -> list[Any]:
        values = {**self.constants, **given}
        return [values[name] for name in self.names]

    def for_pgbench(self, **expressions: str) -> str:
        """Return the statement with an SQL expression of pgbench's variables for each parameter."""
        constants = {name: _literal(value) for name, value in self.constants.items()}
        values = self.arguments(**(constants | expressions))
        return re.sub(r"\$(\d+)", lambda found: f"({values[int(found[1]) - 1]})", self.sql) + ";\n"


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"
