"""The statements that leave the primary for a replica, counted in a mix of 80 % lists and 20 % changes.

On one machine both servers share the processors, so that no rate would show a gain.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import httpx
from report import Report, at_least
from scene import Scene
from support.console import Console, serving
from support.replicated import Replicated, replicated
from support.statements import recorded_statements
from support.waiting import until

ROUNDS: Final = 20
LISTS: Final = ("/users?limit=50", "/users?search=person", "/audit", "/invitations")
_LOOK: Final = "pg_control_system"
_TOKEN: Final = "SELECT pg_current_wal_insert_lsn() AS position"


@dataclass(slots=True)
class Sent:
    """The statements of one run of the mix, without those that measure the replica's lag."""

    primary: int = 0
    replica: int = 0
    for_tokens: int = 0
    looks: int = 0
    statuses: set[int] = field(default_factory=set[int])

    def count(self, primary: Sequence[str], replica: Sequence[str]) -> None:
        self.looks = sum(_LOOK in statement for statement in (*primary, *replica))
        self.primary = sum(_LOOK not in statement for statement in primary)
        self.replica = sum(_LOOK not in statement for statement in replica)
        self.for_tokens = sum(statement == _TOKEN for statement in primary)


def measure(scene: Scene, report: Report) -> None:
    with replicated() as pair:
        alone = asyncio.run(_mix(pair, scene.place))
        both = asyncio.run(_mix(pair, scene.place, replica_url=pair.standby.url))
    requests = ROUNDS * (len(LISTS) + 1)
    report.add("a mix without a replica", alone.primary / requests, "statements/request")
    report.add(
        "the same with one, on the primary",
        both.primary / requests,
        "statements/request",
        detail=f"{both.for_tokens / requests:.2f} of them for tokens",
    )
    report.add(
        "the same, on the replica",
        both.replica / requests,
        "statements/request",
        detail=f"and {both.looks} on both to measure its lag",
    )
    report.add("left the primary", 1 - both.primary / alone.primary, "of all", goal=at_least(0.2))


async def _mix(pair: Replicated, place: Path, replica_url: str | None = None) -> Sent:
    sent = Sent()
    async with _served(pair, place, replica_url) as console:
        tenant_id, owner = await console.tenant(seats=1_000)
        await console.fill(tenant_id, owner, 20)
        await pair.catch_up()
        headers = console.as_(owner, tenant_id)
        replica = console.served.reads.replica
        with (
            recorded_statements(console.database) as primary,
            nullcontext(()) if replica is None else recorded_statements(replica.standby) as standby,
        ):
            for request in _requests(console, owner):
                request.headers.update(headers)
                sent.statuses.add((await console.client.send(request)).status_code)
        sent.count(primary, standby)
    assert sent.statuses == {200, 201}, sent.statuses
    return sent


def _requests(console: Console, owner: str) -> Iterator[httpx.Request]:
    """Changes by the owner are followed by lists of the same caller, as in a console."""
    for number in range(ROUNDS):
        if number % 2:
            yield console.client.build_request("POST", "/users/invite", json={"email": console.new_email()})
        else:
            yield console.client.build_request("PUT", "/profile", json={"display_name": f"{owner} {number}"})
        for path in LISTS:
            yield console.client.build_request("GET", path)


@asynccontextmanager
async def _served(pair: Replicated, place: Path, replica_url: str | None) -> AsyncGenerator[Console]:
    async with AsyncExitStack() as stack:
        console = await stack.enter_async_context(
            serving(pair.primary.url, place, database_replica_url=replica_url)
        )
        if (replica := console.served.reads.replica) is not None:
            await stack.enter_async_context(replica.running())

            async def is_read() -> bool:
                return replica.status.is_read

            await until(is_read)
        yield console
