"""A million accounts: the speed of import and export, the storage, and the time of each read.

Run it from the root of the repository: `.venv/bin/python bench/million.py --accounts 1000000`.
"""

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx
from accounts_file import RARE, user_id, write_accounts

HOC: Final = Path(sys.executable).with_name("hoc")
ACCOUNTS: Final = "/api/v1/accounts"
WITHIN: Final = 3  # times the p50 of a profile read
MEASURED: Final = ("list, page 1", "list, deep cursor", "search, rare term", "statistics")

# The raw COPY stores the same rows with the same indexes.
RAW_TABLE: Final = "CREATE TABLE raw_users (LIKE account.users INCLUDING ALL)"
INDEX_SIZES: Final = """
    SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c
    WHERE c.oid = 'account.users'::regclass
       OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'account.users'::regclass)
    ORDER BY c.relkind DESC, c.relname"""


def main() -> None:
    options = _options()
    print(
        f"{options.accounts:,} accounts, seed {options.seed}, {options.requests} requests of each kind\n",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="hoc-bench-", dir=options.directory) as name:
        place = Path(name)
        place.chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
        write_accounts(place / "accounts.csv", options.accounts, seed=options.seed)
        with serving(place / "data") as url:
            import_and_export(place, options.accounts)
            asyncio.run(settle(database_url(place / "data")))
            print()
            read(url, place / "data", options.accounts, options.requests)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=300, help="requests of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", help="directory for temporary files")
    return parser.parse_args()


# Import and export


def import_and_export(place: Path, accounts: int) -> None:
    data = place / "data"
    url = database_url(data)
    imported = timed(lambda: hoc(data, "import", place / "accounts.csv"))
    exported = timed(lambda: hoc(data, "export", place / "exported.csv", "--include-inactive"))
    raw_in, raw_out = asyncio.run(raw_copies(url, place / "raw.csv"))
    print(f"{'':22}{'rows/s':>10}{'x raw COPY':>12}")
    for name, seconds, raw in (("hoc import", imported, raw_in), ("hoc export", exported, raw_out)):
        print(f"{name:22}{accounts / seconds:10,.0f}{seconds / raw:12.2f}")
        print(f"{'  raw COPY':22}{accounts / raw:10,.0f}")


async def raw_copies(url: str, file: Path) -> tuple[float, float]:
    """COPY all accounts to a file and into a table with the same indexes. Returns the seconds in and out."""
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        await connection.copy_from_table("users", schema_name="account", output=file, format="csv")
        copied_out = time.perf_counter()
        await connection.execute(RAW_TABLE)
        begun = time.perf_counter()
        await connection.copy_to_table("raw_users", source=file, format="csv")
        copied_in = time.perf_counter()
        await connection.execute("DROP TABLE raw_users")
    finally:
        await connection.close()
    return copied_in - begun, copied_out - started


async def settle(url: str) -> None:
    """Do now what autovacuum would do later, and print the storage of the accounts."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE) account.users")
        await connection.execute("VACUUM (ANALYZE) account.account_registrations")
        accounts = await connection.fetchval("SELECT count(*) FROM account.users")
        print(f"\n{'bytes an account':30}")
        for name, size in await connection.fetch(INDEX_SIZES):
            print(f"  {name:28}{size / accounts:8.0f}")
    finally:
        await connection.close()


# Reads


def read(url: str, data: Path, accounts: int, requests: int) -> None:
    with httpx.Client(base_url=url, headers=authorization(data), timeout=60) as client:
        kinds = kinds_of_requests(client, data.parent / "accounts.csv", accounts)
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(-10, requests):  # the negative ones warm up
            for name, next_path in kinds.items():
                seconds = timed(partial(answered, client, next_path()))
                if number >= 0:
                    times[name].append(seconds)
    profile = median(times["profile"])
    print(f"{'':22}{'p50, ms':>10}{'x profile':>12}")
    for name, taken in times.items():
        ratio = median(taken) / profile
        missed = f"  more than {WITHIN}" if name in MEASURED and ratio > WITHIN else ""
        print(f"{name:22}{median(taken) * 1_000:10.2f}{ratio:12.2f}{missed}")


def kinds_of_requests(client: httpx.Client, file: Path, accounts: int) -> dict[str, Callable[[], str]]:
    people = active(file, accounts)
    deep = cursors(client)
    return {
        "profile": lambda: f"{ACCOUNTS}/profile/{next(people)[0]}",
        "by e-mail": lambda: f"{ACCOUNTS}/by-email/{next(people)[1]}",
        "list, page 1": lambda: ACCOUNTS,
        "list, deep cursor": lambda: f"{ACCOUNTS}?cursor={next(deep)}",
        "search, rare term": lambda: f"{ACCOUNTS}?search={RARE}",
        "search, one account": lambda: f"{ACCOUNTS}?search={next(people)[1]}",
        "search, common term": lambda: f"{ACCOUNTS}?search=gmail",
        "search, two letters": lambda: f"{ACCOUNTS}?search=an",
        "statistics": lambda: f"{ACCOUNTS}/stats",
    }


def active(file: Path, accounts: int) -> Iterator[tuple[str, str]]:
    """Yield ids and addresses of active accounts from all parts of the file, forever."""
    wanted = {user_id(number) for number in range(0, accounts, max(1, accounts // 997))}
    with file.open(encoding="utf-8", newline="") as rows:
        found = [
            (row["user_id"], row["email"])
            for row in csv.DictReader(rows)
            if row["user_id"] in wanted and row["is_active"] == "true"
        ]
    while True:
        yield from found


def cursors(client: httpx.Client) -> Iterator[str]:
    """Yield the cursors of pages after the first 10,000 accounts."""
    cursor = answered(client, f"{ACCOUNTS}?page=100&page_size=100")["next_cursor"]
    while True:
        yield cursor
        cursor = answered(client, f"{ACCOUNTS}?page_size=100&cursor={cursor}")["next_cursor"]


def answered(client: httpx.Client, path: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path).raise_for_status().json()
    return found


def authorization(data: Path) -> dict[str, str]:
    token = hoc(data, "token", "--user-id", "bench", "--scope", "accounts:admin").strip()
    return {"Authorization": f"Bearer {token}"}


# Processes


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """Run `hoc serve` with its own PostgreSQL during the block. Yields its URL."""
    command: list[str | Path] = [HOC, "serve", "--port", "0", "--data-dir", data]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(line for line in process.stdout if "hoc serves on " in line).split()[3]
            yield url.removesuffix(urlsplit(url).path)
        finally:
            process.terminate()


def hoc(data: Path, *arguments: str | Path) -> str:
    command = [HOC, *arguments, "--data-dir", data]
    return subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}


def database_url(data: Path) -> str:
    return str(json.loads(hoc(data, "info", "--json"))["database_url"])


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
