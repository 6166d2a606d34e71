"""What checkers of SCIM servers say of the directory as it is served."""

from collections.abc import Iterator

import pytest
from support.scim import ServedDirectory, serving_directory
from support.scim_checkers import PASSED, checks_of_tester, probe_output


@pytest.fixture(scope="module")
def directory(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDirectory]:
    with serving_directory(database_url, tmp_path_factory.mktemp("scim")) as directory:
        yield directory


def test_scim2_testers_checks_all_succeed(directory: ServedDirectory) -> None:
    results = checks_of_tester(directory)
    assert [(each.title, each.reason) for each in results if each.status.name != "SUCCESS"] == []
    assert len(results) > 130


def test_scim_sanitys_probe_finds_no_failure(directory: ServedDirectory) -> None:
    probe = probe_output(directory)
    found = PASSED.search(probe.stdout)
    assert found is not None, probe.stderr
    assert "failed" not in found[0], probe.stdout
    assert probe.returncode == 0
