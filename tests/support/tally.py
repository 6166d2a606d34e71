"""A pytest plugin: prints at the end what the tests of all workers have done, and how often."""

from typing import Any

import pytest
from support.effort import TALLY

_KEY = "tally"


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEY] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TALLY.update(getattr(node, "workeroutput", {}).get(_KEY, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("tally")
    for what, times in sorted(TALLY.items()):
        terminalreporter.write_line(f"{what:36}{times:>12,}")
