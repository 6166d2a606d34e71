"""Takes away one of several, step by step, while accounts are written, and prints what each step cost.

`make growth` runs it. The exit code is 1 if anything was lost, invented, doubled or out of order.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import nats
from chaos import patience
from client import Client
from evidence import collect
from judge import verdict
from ledger import Ledger
from load import Load
from pulse import Pulse
from several import Scene, scene
from sqlalchemy import text

from hoc.concurrency.background import in_background
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.wiring import open_database
from hoc.database import Database

PEOPLE: Final = 4
TENANTS: Final = 2
STREAM: Final = "ACCOUNTS"
SHOWN: Final = 5
POLL_SECONDS: Final = 0.05
CURSOR: Final = text("SELECT sequence FROM account.event_cursors WHERE name = 'nats'")


Restore: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Step:
    """What was answered since something was taken away, and the seconds from then to the first successes."""

    name: str
    answers: Counter[str]
    first_write: float
    first_event: float


def main() -> None:
    options = _options()
    place = Path(tempfile.mkdtemp(prefix="hoc-growth-", dir=options.directory))
    place.chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
    print(f"Logs are in {place}, and stay if anything is wrong", flush=True)
    if not asyncio.run(run(place, options)):
        sys.exit(1)
    shutil.rmtree(place)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load after each step's first success")
    parser.add_argument("--only", choices=FAULTS, action="append", help="a step to take; default: all")
    parser.add_argument("--directory", help="directory for temporary files")
    return parser.parse_args()


async def run(place: Path, options: argparse.Namespace) -> bool:
    """Returns whether nothing was wrong."""
    ledger, work, published = Ledger(), Pulse(), Pulse()
    taken_away = options.only or list(FAULTS)
    async with scene(place) as on:
        client = Client(on.servers, on.gateway_secret, ledger, work)
        load = Load(client, on.database_url)
        async with patience("The servers do not start."):
            tenants = await asyncio.gather(
                *(load.create_tenant(f"tenant-{number}") for number in range(TENANTS))
            )
        steps: list[Step] = []
        async with (
            _opened(on.database_url) as database,
            in_background(lambda: _watch(database, published), name="watch"),
            asyncio.TaskGroup() as workers,
        ):
            for number in range(PEOPLE):
                workers.create_task(load.people(number))
            for tenant in tenants:
                workers.create_task(load.manage(tenant))
            for name in taken_away:
                print(f"{name} …", flush=True)
                steps.append(await _step(name, on, ledger, (work, published), options.seconds))
            load.stop()
        await client.close()
        survivor = on.standby if "failover" in taken_away else on.primary
        evidence = await collect(ledger, survivor.url, next(iter(on.nats.values())).url, STREAM)
    _print_steps(steps)
    found = verdict(evidence)
    outcomes = ", ".join(f"{times:,} {outcome}" for outcome, times in ledger.counts().items())
    print(f"\n{'writes':40}{outcomes}\n{'events':40}{len(evidence.log):,}")
    for name, items in found.items():
        print(f"{name:40}{len(items):,}")
        for item in items[:SHOWN]:
            print(f"  {item}")
    return not any(found.values())


async def _step(name: str, on: Scene, ledger: Ledger, pulses: tuple[Pulse, Pulse], seconds: float) -> Step:
    """Take something away. The step ends ``seconds`` after a write and an event have succeeded without it."""
    work, published = pulses
    before = Counter(ledger.answers)
    restore = await FAULTS[name](on)
    gone = time.monotonic()
    async with patience(f"Nothing succeeds without the {name}."):
        written, relayed = await asyncio.gather(work.after(gone), published.after(gone))
    await asyncio.sleep(seconds)
    await restore()
    return Step(name, ledger.answers - before, written - gone, relayed - gone)


async def _watch(database: Database, published: Pulse) -> None:
    """Beat whenever the cursor of published events has moved."""
    last: int | None = None
    while True:
        began = time.monotonic() - POLL_SECONDS
        with suppress(UnavailableError):
            async with database.reading() as session:
                cursor = await session.scalar(CURSOR)
            if last is not None and cursor > last:
                published.beat(began)
            last = cursor
        await asyncio.sleep(POLL_SECONDS)


async def _nothing() -> None:
    """What was taken away comes back by itself, or never."""


async def _kill_nats(on: Scene) -> Restore:
    """Kill the server that leads the stream. It comes back after the step."""
    client = await nats.connect([server.url for server in on.nats.values()])
    try:
        info = await client.jetstream().stream_info(STREAM)
    finally:
        await client.close()
    leader = on.nats[info.cluster.leader]
    await asyncio.to_thread(leader.stop)

    async def restore() -> None:
        await asyncio.to_thread(leader.restart)

    return restore


async def _kill_server(on: Scene) -> Restore:
    await on.servers[0].crash()
    return _nothing


async def _kill_relay(on: Scene) -> Restore:
    await on.relays[0].crash()
    return _nothing


async def _fail_over(on: Scene) -> Restore:
    await on.fail_over()
    return _nothing


async def _change_nothing(_on: Scene) -> Restore:
    return _nothing


FAULTS: Final[dict[str, Callable[[Scene], Awaitable[Restore]]]] = {
    "nothing": _change_nothing,
    "server": _kill_server,
    "relay": _kill_relay,
    "nats": _kill_nats,
    "failover": _fail_over,
}
"""What is taken away: a server with its workers, a relay, the NATS that leads the stream, the primary."""


@asynccontextmanager
async def _opened(url: str) -> AsyncGenerator[Database]:
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


def _print_steps(steps: list[Step]) -> None:
    columns = "".join(f"{name:>11}" for name in ("written", "503", "no answer", "other"))
    print(f"\n{'taken away':12}{columns}{'first write':>13}{'first event':>13}")
    for step in steps:
        ok = sum(times for answer, times in step.answers.items() if answer.startswith("2"))
        unanswered = sum(times for answer, times in step.answers.items() if not answer.isdigit())
        other = step.answers.total() - ok - unanswered - step.answers["503"]
        print(
            f"{step.name:12}{ok:11,}{step.answers['503']:11,}{unanswered:11,}{other:11,}"
            f"{step.first_write:11.2f} s{step.first_event:11.2f} s"
        )


if __name__ == "__main__":
    main()
