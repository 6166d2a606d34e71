"""`hoc serve --hooks`: the dict is imported before anything starts, also from the working directory."""

import sys
from pathlib import Path

import pytest
from support.command_line import refusal

from hoc.server.hooks import load_hooks

MODULE = """
called = []


async def joined(session, event):
    called.append(event)


hooks = {"member.joined": joined}
wrong = {"member.join": joined}
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere:hooks", "cannot be imported"),
        ("host_with_hooks:nothing", "cannot be imported"),
        ("host_with_hooks", "module:name"),
        ("host_with_hooks:called", "module:name"),
    ],
)
def test_what_is_no_dict_of_hooks_is_refused(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "host_with_hooks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ValueError, match=f"HOC_HOOKS: .*{said}"):
        load_hooks(name)


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    said, code = refusal("serve", "--hooks", "nowhere:hooks", "--data-dir", tmp_path)
    assert code == 1
    assert "HOC_HOOKS: 'nowhere:hooks' cannot be imported" in said
    assert not list(tmp_path.iterdir()), "nothing was started"
