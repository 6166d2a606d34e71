"""Checkers of SCIM servers, run against hoc. `make conformity` prints their summaries."""

import asyncio
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from httpx2 import Client
from support.postgres import TestServer, TestServerOwner
from support.scim import ServedDirectory, serving_directory

if TYPE_CHECKING:
    from scim2_tester import CheckResult

PASSED = re.compile(r"^  (?P<passed>\d+) passed, .*", re.MULTILINE)


def checks_of_tester(directory: ServedDirectory) -> "list[CheckResult]":
    """The results of scim2-tester, which takes more than a second to load."""
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import check_server

    headers = {"Authorization": f"Bearer {directory.token}"}
    with Client(base_url=directory.url, headers=headers, timeout=30) as client:
        return check_server(SyncSCIMClient(client))


def probe_output(directory: ServedDirectory) -> subprocess.CompletedProcess[str]:
    """The output of scim-sanity's probe."""
    command = [sys.executable, "-m", "scim_sanity", "probe", directory.url, "--i-accept-side-effects"]
    return subprocess.run(
        [*command, "--token", directory.token], capture_output=True, text=True, check=False, timeout=120
    )


def main() -> None:
    owner = TestServerOwner()
    try:
        asyncio.run(_check(owner.server()))
    finally:
        owner.stop()


async def _check(server: TestServer) -> None:
    async with server.new_database() as url:
        await asyncio.to_thread(_serve_and_check, url)


def _serve_and_check(url: str) -> None:
    with tempfile.TemporaryDirectory() as data, serving_directory(url, Path(data)) as directory:
        _print_summaries(directory)


def _print_summaries(directory: ServedDirectory) -> None:
    results = checks_of_tester(directory)
    counts = Counter(result.status.name for result in results)
    print(f"scim2-tester: {len(results)} checks:", ", ".join(f"{n} {name}" for name, n in counts.items()))  # noqa: T201 - a command's output
    for result in results:
        if result.status.name != "SUCCESS":
            print(f"  {result.status.name}: {result.title}: {result.reason}")  # noqa: T201 - see above
    found = PASSED.search(probe_output(directory).stdout)
    print("scim-sanity:", found.group(0).strip() if found else "no summary")  # noqa: T201 - see above


if __name__ == "__main__":
    main()
