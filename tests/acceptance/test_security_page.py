"""SECURITY.md: each promise refers to tests, and these exist."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest
from support.documents import ROOT

PAGE: Final = (ROOT / "SECURITY.md").read_text()
TEXT, _, NOTES = PAGE.partition("\n[^")
FOOTNOTES: Final = dict(re.findall(r"^\[\^(\w+)\]: (.+(?:\n {4}.+)*)", f"[^{NOTES}", re.MULTILINE))
PROMISED: Final = TEXT[TEXT.index("### Callers") : TEXT.index("### What hoc does not protect from")]


def references(text: str) -> list[str]:
    return re.findall(r"\[\^(\w+)\]", text)


def functions_of(path: Path) -> set[str]:
    """The names of a module's functions, or none if there is no such module."""
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", FOOTNOTES)
def test_every_test_that_a_footnote_names_exists(name: str) -> None:
    named = re.findall(r"`([^`]+)`", FOOTNOTES[name])
    assert named
    for test in named:
        path, _, function = test.partition("::")
        assert function.startswith("test_")
        assert function in functions_of(ROOT / path), f"SECURITY.md names {test}, which does not exist"


def test_every_footnote_is_referred_to_and_exists() -> None:
    assert set(references(TEXT)) == set(FOOTNOTES)


def test_every_promise_refers_to_its_tests() -> None:
    """Each item of a list, and the promises of each row of the table."""
    items = re.findall(r"^- (.+(?:\n  .+)*)", PROMISED, re.MULTILINE)
    rows = re.findall(r"^\| (?!Backend \|)(.+?) \| (.+?) \|", PROMISED, re.MULTILINE)
    assert len(items) > 10
    assert len(rows) == 4
    assert [text for text in (*items, *(promises for _, promises in rows)) if not references(text)] == []
