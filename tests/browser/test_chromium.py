"""Where no Chromium is to be had, the tests of the pages fail with what to do."""

from pathlib import Path

import pytest
from support import chromium

SENTENCE = "Set HOC_TEST_CHROMIUM to the path of a Chromium or Chrome."


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> Path:
        raise AssertionError("npm: no network")

    monkeypatch.setattr(chromium, "installed", fail)
    with pytest.raises(AssertionError, match=SENTENCE) as failure:
        chromium.chromium()
    assert "npm: no network" in str(failure.value)


def test_another_machine_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There, npm brings axe-core alone."""
    script = tmp_path / "node_modules" / "axe-core" / "axe.min.js"
    script.parent.mkdir(parents=True)
    script.write_text("axe")

    def install(*_arguments: object) -> Path:
        return tmp_path

    monkeypatch.setattr(chromium, "installed", install)
    monkeypatch.delenv("HOC_TEST_CHROMIUM", raising=False)
    with pytest.raises(AssertionError, match=SENTENCE):
        chromium.chromium()
    monkeypatch.setenv("HOC_TEST_CHROMIUM", "/usr/bin/chromium")
    assert chromium.chromium() == chromium.Chromium(Path("/usr/bin/chromium"), {}, "axe")
