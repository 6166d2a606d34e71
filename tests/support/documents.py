"""The documentation as data: its pages, and its code blocks, which can be run."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.forked import run_program

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE: Final = re.compile(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
_TIMEOUT_SECONDS: Final = 180
_BETWEEN: Final = "===== between two blocks ====="


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `info` follows the fence (`sh run`), and `output` is in the next block."""

    info: str
    code: str
    output: str | None


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, info: str) -> list[Block]:
    """The page's blocks of one kind, in order."""
    found = [(fence[2].strip(), fence[3]) for fence in _FENCE.finditer(page.read_text())]
    following = [*found, ("", "")][1:]
    return [
        Block(kind, code, output if next_kind == "text output" else None)
        for (kind, code), (next_kind, output) in zip(found, following, strict=True)
        if kind == info
    ]


def pages_with(info: str) -> list[str]:
    """The names of the pages that have a block of this kind."""
    return [name_of(page) for page in PAGES if blocks(page, info)]


def first_column(page: Path) -> list[str]:
    """The text in backquotes at the start of each table row."""
    return re.findall(r"^\| `([^`]+)` \|", page.read_text(), re.MULTILINE)


def run_shell(shell: str, page: Path, server_url: str, directory: Path, environment: dict[str, str]) -> None:
    """Run the page's shell blocks as one session against a server, and compare each one's output."""
    shown = blocks(page, "sh run")
    script = f"echo '{_BETWEEN}'\n".join(block.code for block in shown)
    done = subprocess.run(
        [shell, "-eu", "-c", script.replace("http://127.0.0.1:8201", server_url)],
        cwd=directory,
        env=environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for block, printed in zip(shown, done.stdout.split(f"{_BETWEEN}\n"), strict=True):
        compare(block, printed)


def run_python(page: Path, directory: Path, environment: dict[str, str]) -> None:
    """Run the page's Python blocks as one program, and compare its output."""
    shown = blocks(page, "python run")
    code = "\n".join(block.code for block in shown)
    done = run_program(code, directory, environment, timeout_seconds=_TIMEOUT_SECONDS)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = [block for block in shown if block.output is not None]
    for block in outputs:
        compare(block, done.stdout)
    assert outputs or done.stdout == ""


def compare(block: Block, printed: str) -> None:
    """Require the documented output, in which `…` stands for any text within a line."""
    if block.output is None:
        return
    expected = r"[^\n]*".join(re.escape(part) for part in block.output.strip().split("…"))
    assert re.fullmatch(expected, printed.strip()), (
        f"{block.code}\nprinted:\n{printed}\nand not:\n{block.output}"
    )
