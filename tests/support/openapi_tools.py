"""Linters of the OpenAPI documents, and generators of clients, in versions pinned by their hashes.

`hoc` itself must not share their dependencies.
"""

import sys
from pathlib import Path

from support.tools import NODE, install_node, installed, run

__all__ = ["NODE", "node_tools", "python_tools", "run"]

PINS = Path(__file__).parents[2] / "requirements" / "openapi-tools"
NODE_FILES = ("package.json", "package-lock.json")
PYTHON_FILE = "requirements.txt"


def node_tools() -> Path:
    """The directory with ``node_modules``."""
    return installed("node", [PINS / name for name in NODE_FILES], _install_node)


def python_tools() -> Path:
    """The directory of a virtual environment with ``openapi-python-client`` and what its clients need."""
    return installed(f"python{sys.version_info.minor}", [PINS / PYTHON_FILE], _install_python)


def _install_node(directory: Path) -> None:
    install_node(PINS, directory)


def _install_python(directory: Path) -> None:
    run(sys.executable, "-m", "venv", directory, cwd=directory)
    pinned = ["--require-hashes", "--no-deps", "--requirement", str(PINS / PYTHON_FILE)]
    run(directory / "bin" / "python", "-m", "pip", "install", "--quiet", *pinned, cwd=directory)
