"""What is built and pinned: the wheel, requirements/, and new migrations."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.command_line import environment
from support.documents import ROOT

from hoc.distribution import NAME, how_to_add

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src", "alembic")


def pinned(file: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / file).read_text()
    return {name: Version(version) for name, version in re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE)}


def declared() -> list[Requirement]:
    """The requirements of the library, of every extra, and of the tests."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    lists = [project["dependencies"], *project["optional-dependencies"].values(), groups["test"]]
    return [Requirement(each) for texts in lists for each in texts]


def test_the_lowest_versions_are_pinned() -> None:
    """As declared, or the first release that has the declared number as its beginning."""
    lowest = pinned("lowest.txt")
    for requirement in declared():
        [bound] = [each.version for each in requirement.specifier if each.operator == ">="]
        chosen = lowest[canonicalize_name(requirement.name)]
        assert chosen.release[: len(Version(bound).release)] == Version(bound).release, requirement.name


@pytest.mark.parametrize("file", ["dev.txt", "lowest.txt", "server.txt"])
def test_pinned_versions_are_allowed_and_have_hashes(file: str) -> None:
    text, versions = (ROOT / "requirements" / file).read_text(), pinned(file)
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        if file != "server.txt" or name in versions:
            assert versions[name] in requirement.specifier, requirement


def test_the_image_has_the_versions_that_are_tested() -> None:
    assert pinned("server.txt").items() <= pinned("dev.txt").items()


def test_two_builds_of_the_wheel_are_the_same(tmp_path: Path) -> None:
    """Other time stamps, permissions and directories change nothing."""
    first, second = (build(tmp_path / name, mask) for name, mask in (("one", 0o022), ("two", 0o077)))
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert {"hoc/py.typed", "hoc/alembic/env.py"} <= set(names)
    assert not [name for name in names if "pycache" in name]


def build(directory: Path, mask: int) -> Path:
    directory.mkdir()
    for source in SOURCES:
        copied = directory / source
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, copied, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(ROOT / source, copied)
    for file in directory.rglob("*"):
        file.chmod(0o777 & ~mask if file.is_dir() else 0o666 & ~mask)
        os.utime(file, (mask * 10_000_000, mask * 10_000_000))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    given = environment(SOURCE_DATE_EPOCH="1700000000")
    subprocess.run(command, cwd=directory, env=given, capture_output=True, check=True)
    [wheel] = (directory / "dist").glob("*.whl")
    return wheel


def test_a_missing_extra_is_named_with_its_distribution() -> None:
    assert PROJECT["project"]["name"] == NAME
    assert how_to_add("mail").startswith(f"install {NAME}[mail]: ")


def test_no_page_or_message_installs_another_distribution() -> None:
    """The name `hoc` on the package index belongs to another project."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    wrong = re.compile(r"pip install '?hoc\b(?!-)|(?<![\w.-])hoc\[|version\(['\"]hoc['\"]\)")
    assert [page.name for page in pages if wrong.search(page.read_text())] == []


def test_the_library_needs_no_module_that_windows_lacks() -> None:
    code = """
        import sys
        sys.modules |= dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios", "uvloop"))
        import hoc.asgi, hoc.migrations, hoc.testing
        import hoc.cus.account.L5_engines.accounts_facade, hoc.cus.account.wiring
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
