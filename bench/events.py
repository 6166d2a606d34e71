"""Events: how fast a backlog drains, and how long an event takes at a steady rate.

Run it from the root of the repository: `.venv/bin/python bench/events.py --events 100000`.
"""

import argparse
import asyncio
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from drain import Servers, drain
from lag import Way, lag, percentile

from hoc.embedded import DataDirectory, EmbeddedNats, EmbeddedPostgres
from hoc.migrations import migrate

RESULTS: Final = Path(__file__).parent / "results"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="hoc-bench-", dir=options.directory) as name:
        place = Path(name)
        place.chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
        data = DataDirectory(place / "data")
        with EmbeddedPostgres(data) as postgres, EmbeddedNats(data) as nats:
            servers = Servers(postgres.running_url() or "", options.nats_url or nats.running_url() or "")
            measured = asyncio.run(_measure(servers, place, options))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"events-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps(measured, indent=2) + "\n")
    print(f"\nWritten to {file}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="events in the backlog")
    parser.add_argument("--rate", type=int, default=500, help="events per second, for the lag")
    parser.add_argument("--seconds", type=int, default=30, help="seconds at that rate")
    parser.add_argument(
        "--nats-url", help="NATS to use instead of an embedded one; its stream ACCOUNTS is deleted"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", help="directory for temporary files")
    return parser.parse_args()


async def _measure(servers: Servers, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    await migrate(servers.database_url)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before\n")
    return {
        "cores": os.cpu_count(),
        "load_before": load,
        "drain": await _drain(servers, place, options),
        "lag": await _lag(servers, place, options),
    }


async def _drain(servers: Servers, place: Path, options: argparse.Namespace) -> dict[str, float]:
    rates = await drain(servers, place, options.events, seed=options.seed)
    bare = rates["bare nats-py"]
    print(f"\n{f'backlog of {options.events:,}':26}{'events/s':>10}{'x bare':>10}")
    for name, rate in rates.items():
        print(f"{name:26}{rate:10,.0f}{rate / bare:10.2f}", flush=True)
    return rates


async def _lag(servers: Servers, place: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    columns = ("stored_p50", "stored_p99", "received_p50", "received_p99")
    headings = "".join(f"{column.replace('_', ' '):>14}" for column in columns)
    print(f"\n{f'lag at {options.rate}/s, ms':26}{headings}{'written/s':>12}{'x bare p50':>12}{'p99':>8}")
    measured: dict[str, dict[str, float]] = {}
    for way in Way:
        lags, written = await lag(servers, place, way, rate=options.rate, seconds=options.seconds)
        values = {
            "stored_p50": percentile(lags.stored, 50),
            "stored_p99": percentile(lags.stored, 99),
            "received_p50": percentile(lags.received, 50),
            "received_p99": percentile(lags.received, 99),
        }
        measured[way] = values | {"written": written}
        bare = measured[Way.BARE]
        print(
            f"{way:26}"
            + "".join(f"{values[column] * 1_000:14.1f}" for column in columns)
            + f"{written:12,.0f}"
            f"{values['received_p50'] / bare['received_p50']:12.1f}"
            f"{values['received_p99'] / bare['received_p99']:8.1f}",
            flush=True,
        )
    return measured


if __name__ == "__main__":
    main()
