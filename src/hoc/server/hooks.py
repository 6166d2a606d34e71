"""The hooks that HOC_HOOKS names."""

import sys
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import cast

from hoc.cus.account.L5_engines.hooks import Hook


def load_hooks(name: str | None) -> Mapping[str, Hook] | None:
    """Import ``module:name``, also from the working directory. None has no hooks.

    Raises ValueError: it cannot be imported, or is no dict.
    """
    if name is None:
        return None
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        hooks = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise ValueError(f"HOC_HOOKS: {name!r} cannot be imported: {problem}") from problem
    if ":" not in name or not isinstance(hooks, Mapping):
        raise ValueError(f"HOC_HOOKS: {name!r} must be module:name of a dict of hooks by event type.")
    return cast("Mapping[str, Hook]", hooks)
