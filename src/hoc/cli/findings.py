"""What one check of `hoc doctor` found."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. ``detail`` says what is wrong and what to do, without passwords."""

    check: str
    state: State
    detail: str
