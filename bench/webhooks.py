"""Webhooks under faults: senders that are killed under load, and endpoints that are dead beside others.

The exit code is 1 if an event was lost or came out of order.
"""

import argparse
import asyncio
import itertools
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final

from embedded import embedded_postgres

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.receiver import Received, Receiver, receiver
from support.webhook_sending import endpoint, happen, webhook_world
from support.world import PostgresWorld

from hoc.cus.account.wiring import open_database
from hoc.migrations import migrate

HOC: Final = Path(sys.executable).with_name("hoc")
TENANTS: Final = 4
WRITES_PER_SECOND: Final = 25
PATIENCE_SECONDS: Final = 120
WARM_UP_SECONDS: Final = 5
SILENCE_SECONDS: Final = 30


def main() -> int:
    options = _options()
    with embedded_postgres() as url:
        asyncio.run(migrate(url))
        wrong = asyncio.run(kill_senders(url, options.kills)) if options.kills else 0
    if options.endpoints:
        asyncio.run(compare_lags(options.endpoints, options.dead, options.seconds, options.rounds))
    return int(bool(wrong))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of `hoc relay`, which sends; 0 leaves it out")
    parser.add_argument("--endpoints", type=int, default=200, help="of as many tenants; 0 leaves it out")
    parser.add_argument("--dead", type=int, default=20, help="of the endpoints")
    parser.add_argument("--seconds", type=int, default=30, help="of events, after five seconds to warm up")
    parser.add_argument("--rounds", type=int, default=3, help="of comparing with and without dead ones")
    return parser.parse_args()


async def kill_senders(url: str, kills: int) -> int:
    """Kill the sending process again and again while events happen. Returns how many events are wrong."""
    async with _tenants(url, TENANTS) as (world, tenants), receiver() as taking:
        for tenant, owner in tenants:
            await endpoint(world, tenant, owner, taking)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_write(world, [tenant for tenant, _ in tenants], stop))
            for _ in range(kills):
                await _kill_while_sending(url, taking)
            stop.set()
        written = writing.result()
        with _relaying(url):
            await _settled(taking, sum(written.values()))
    return _judged(taking.requests, written, kills)


async def _kill_while_sending(url: str, taking: Receiver) -> None:
    seen = len(taking.requests)
    with _relaying(url):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(taking.requests) == seen:  # noqa: ASYNC110 - so the receiver has no more work
                await asyncio.sleep(0.01)
        await asyncio.sleep(random.uniform(0, 0.5))


async def _write(world: PostgresWorld, tenants: Sequence[str], stop: asyncio.Event) -> dict[str, int]:
    """Write events of the tenants in turn, numbered from 1. Returns the last number of each."""
    written = dict.fromkeys(tenants, 0)
    for tenant in itertools.cycle(tenants):
        if stop.is_set():
            return written
        written[tenant] += 1
        await happen(world, tenant, range(written[tenant], written[tenant] + 1))
        await asyncio.sleep(1 / WRITES_PER_SECOND)
    return written


async def _settled(taking: Receiver, events: int) -> None:
    """Wait until as many events have come, or none has for thirty seconds."""
    seen, since = 0, asyncio.get_running_loop().time()
    while len(set(taking.ids)) < events and asyncio.get_running_loop().time() - since < SILENCE_SECONDS:
        await asyncio.sleep(0.1)
        if len(taking.requests) > seen:
            seen, since = len(taking.requests), asyncio.get_running_loop().time()


def _judged(requests: Sequence[Received], written: dict[str, int], kills: int) -> int:
    first: dict[str, list[int]] = defaultdict(list)
    known: set[str] = set()
    for each in requests:
        if each.event_id not in known:
            known.add(each.event_id)
            first[each.event["data"]["tenant_id"]].append(each.event["data"]["max_workers"])
    lost = sum(len(set(range(1, last + 1)) - set(first[tenant])) for tenant, last in written.items())
    turned = sum(earlier > later for came in first.values() for earlier, later in itertools.pairwise(came))
    print(
        f"{kills} kills of the sender, {sum(written.values()):,} events: {lost} lost, {turned} out of order,"
        f" {len(requests) - len(known):,} sent more than once"
    )
    return lost + turned


async def compare_lags(endpoints: int, dead: int, seconds: int, rounds: int) -> None:
    """Print how late events come at living endpoints, with and without dead ones beside them.

    Both run at the same time, so that whatever else the machine does affects both alike.
    """
    lags: dict[int, list[float]] = {0: [], dead: []}
    for _ in range(rounds):
        with embedded_postgres() as one, embedded_postgres() as other:
            for url in (one, other):
                await migrate(url)
            found = await asyncio.gather(
                _lags(one, endpoints, 0, seconds), _lags(other, endpoints, dead, seconds)
            )
        for count, its_lags in zip(lags, found, strict=True):
            lags[count] += its_lags
            _print_lags(f"{endpoints} endpoints, {count} dead", its_lags)
    p99 = {count: _print_lags(f"all rounds, {count} dead", its_lags) for count, its_lags in lags.items()}
    print(f"p99 beside dead ones is {p99[dead] / p99[0]:.2f} times that without.")


def _print_lags(name: str, lags: Sequence[float]) -> float:
    """Returns the p99."""
    percent = quantiles(lags, n=100)
    print(
        f"{name}: p50 {percent[49] * 1_000:.0f} ms, p99 {percent[98] * 1_000:.0f} ms ({len(lags):,} events)",
        flush=True,
    )
    return percent[98]


async def _lags(url: str, endpoints: int, dead: int, seconds: int) -> list[float]:
    lags: list[tuple[datetime, float]] = []
    is_over = asyncio.Event()

    def answer(received: Received) -> int:
        happened = datetime.fromisoformat(received.event["time"])
        lags.append((happened, (datetime.now(UTC) - happened).total_seconds()))
        return 204

    async def never(_received: Received) -> int:
        await is_over.wait()
        return 204

    async with (
        _tenants(url, endpoints) as (world, tenants),
        receiver(answer) as living,
        receiver(never) as silent,
    ):
        for number, (tenant, owner) in enumerate(tenants):
            await endpoint(world, tenant, owner, silent if number < dead else living)
        stop = asyncio.Event()
        with _relaying(url):
            began = datetime.now(UTC)
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(_write(world, [tenant for tenant, _ in tenants], stop))
                await asyncio.sleep(WARM_UP_SECONDS + seconds)
                stop.set()
            written = writing.result()
            of_living = sum(written[tenant] for tenant, _ in tenants[dead:])
            await _settled(living, of_living)
        is_over.set()
    return [lag for happened, lag in lags if (happened - began).total_seconds() > WARM_UP_SECONDS]


@asynccontextmanager
async def _tenants(url: str, count: int) -> AsyncGenerator[tuple[PostgresWorld, list[tuple[str, str]]]]:
    """New tenants with their owners."""
    database = open_database(url)
    try:
        world = webhook_world(database)
        yield world, [await world.tenant() for _ in range(count)]
    finally:
        await database.close()


@contextmanager
def _relaying(url: str) -> Generator["subprocess.Popen[bytes]"]:
    """A process that numbers events and sends webhooks, without NATS. It is killed at the block's end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}
    given = {
        "HOC_DATABASE_URL": url,
        "HOC_WEBHOOKS": "true",
        "HOC_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    process = subprocess.Popen(
        [HOC, "relay"], env=kept | given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
