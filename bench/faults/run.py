"""Kills servers, the relay, PostgreSQL and NATS while accounts are written, then looks for what was lost.

Run it from the root of the repository: `.venv/bin/python bench/faults/run.py --servers 2 --relays 2
--postgres 1 --nats 1`. The exit code is 1 if anything was lost, invented, doubled or out of order.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, repeat
from pathlib import Path
from statistics import median
from typing import Final

from chaos import Chaos, patience
from client import Client
from evidence import Evidence, all_published, collect
from judge import verdict
from ledger import Ledger, Outcome
from load import Load
from pulse import Pulse
from sabotage import SABOTAGE, blind_spots
from scene import STREAM, Scene, scene
from targets import Target

from hoc.concurrency.background import in_background

PEOPLE: Final = 8
TENANTS: Final = 4
SHOWN: Final = 10
REPORT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """``settled`` is the seconds from the last kill and write until the last event was published."""

    evidence: Evidence
    recoveries: Mapping[str, list[float]]
    seconds: float
    settled: float


def main() -> None:
    options = _options()
    place = Path(tempfile.mkdtemp(prefix="hoc-faults-", dir=options.directory))
    place.chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
    print(f"Logs are in {place}, and stay if anything is wrong", flush=True)
    result = asyncio.run(run(place, options))
    if not is_clean(result):
        sys.exit(1)
    shutil.rmtree(place)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=100, help="SIGKILLs of a server and its workers")
    parser.add_argument("--relays", type=int, default=100, help="SIGKILLs of the relay")
    parser.add_argument("--postgres", type=int, default=50, help="immediate shutdowns of PostgreSQL")
    parser.add_argument("--nats", type=int, default=50, help="SIGKILLs of nats-server")
    parser.add_argument("--directory", help="directory for temporary files")
    return parser.parse_args()


async def run(place: Path, options: argparse.Namespace) -> Result:
    ledger, work = Ledger(), Pulse()
    async with scene(place, work) as on:
        client = Client(on.servers, on.gateway_secret, ledger, work)
        load = Load(client, on.database_url)
        async with patience("The servers do not start."):
            tenants = await asyncio.gather(
                *(load.create_tenant(f"tenant-{number}") for number in range(TENANTS))
            )
        chaos = Chaos(work)
        began = time.monotonic()
        async with (
            asyncio.TaskGroup() as workers,
            in_background(partial(_report, chaos, ledger), name="report"),
        ):
            for number in range(PEOPLE):
                workers.create_task(load.people(number))
            for tenant in tenants:
                workers.create_task(load.manage(tenant))
            await chaos.strike(_plan(on, options))
            load.stop()
        ended = time.monotonic()
        await client.close()
        await all_published(on.database_url)
        settled = time.monotonic() - ended
        evidence = await collect(ledger, on.database_url, on.nats_url, STREAM)
    return Result(evidence, chaos.recoveries, ended - began, settled)


def _plan(on: Scene, options: argparse.Namespace) -> list[Target]:
    targets: list[Target] = [
        *islice(cycle(on.servers), options.servers),
        *repeat(on.relay, options.relays),
        *repeat(on.postgres, options.postgres),
        *repeat(on.nats, options.nats),
    ]
    random.shuffle(targets)
    return targets


async def _report(chaos: Chaos, ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        kills = ", ".join(f"{name} {len(taken)}" for name, taken in sorted(chaos.recoveries.items()))
        print(f"{len(ledger.writes):,} writes; killed: {kills}", flush=True)


def is_clean(result: Result) -> bool:
    """Print the result. Returns whether nothing is wrong, and the judge finds all errors that are planted."""
    evidence = result.evidence
    print(f"\n{'':28}{'kills':>8}{'median, s':>12}{'longest, s':>12}   until recovery")
    for name, taken in sorted(result.recoveries.items()):
        print(f"{name:28}{len(taken):8}{median(taken):12.2f}{max(taken):12.2f}")
    writes = evidence.ledger.counts()
    print(f"\n{'writes, in ' + f'{result.seconds:,.0f} s':40}{writes.total():10,}")
    for outcome in Outcome:
        print(f"  {outcome:38}{writes[outcome]:10,}")
    print(f"  requests: {_listed(evidence.ledger.answers)}")
    repeats = len(evidence.stream) - len({message.event_id for message in evidence.stream})
    print(f"{'events':40}{len(evidence.log):10,}")
    print(f"{'repeats in the stream, before dedup':40}{repeats:10,}")
    print(f"{'seconds until the last was published':40}{result.settled:10.1f}\n")
    found = verdict(evidence)
    for name, items in found.items():
        print(f"{name:40}{len(items):10,}")
        for item in items[:SHOWN]:
            print(f"  {item}")
    if any(found.values()):
        return False
    overlooked = blind_spots(evidence)
    print(f"\nThe judge overlooks {len(overlooked)} of {len(SABOTAGE)} falsified copies of this evidence")
    for spot in overlooked:
        print(f"  {spot}")
    return not overlooked


def _listed(answers: Counter[str]) -> str:
    return ", ".join(f"{times:,} {answer}" for answer, times in answers.most_common())


if __name__ == "__main__":
    main()
