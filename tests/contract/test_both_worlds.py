"""A random walk through all operations goes the same way in memory and on PostgreSQL."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import TALLY, examples
from support.event_scene import Scene, build_scene
from support.mutations import ACCOUNT_MUTATIONS, MUTATIONS
from support.world import MemoryWorld, PostgresWorld, World, outcome

from hoc.database import Database

# On PostgreSQL, leases and usage go by the database's clock.
OPERATIONS: Final = sorted(name for name in MUTATIONS if not name.startswith(("leases.", "usage.")))
# A change of an address is confirmed with the token of its mail.
ACCOUNTS: Final = sorted({*ACCOUNT_MUTATIONS} - {"confirm_email_change"})
STEPS: Final = st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=5)
TRANSACTIONS: Final = st.tuples(st.booleans(), STEPS)
WALKS: Final = st.lists(st.one_of(TRANSACTIONS, st.sampled_from(ACCOUNTS)), max_size=12)

_OWN: Final = re.compile(r"\b[a-z]{2,4}_[0-9a-f]{16,}|[\w-]{40,}|[0-9a-f]{12}\b")
_SLUG: Final = re.compile(r"\banother-[0-9a-f]+")  # of a project that is called as another one is
_ENUM: Final = re.compile(r"<\w+\.\w+: ('[^']*')>")  # equal to its value, which a row has


@dataclass(slots=True)
class Walker:
    """One world's walk. In what it tells, a number stands for each id, token and name of the world's own."""

    scene: Scene
    numbers: dict[str, str] = field(default_factory=dict[str, str])

    async def transact(self, names: list[str], *, commits: bool) -> list[str]:
        """Perform operations in one transaction; return what came of each, and all that can be read then."""
        world = self.scene.world
        async with world.session() as session:
            told = [await outcome(MUTATIONS[name](self.scene, session)) for name in names]
            seen = await world.snapshot(session, self.scene.tenant_id, self.scene.team.everybody)
            del seen["leases"]  # as rows, whose form is each world's own
            told.append(seen)
            await (session.commit() if commits else session.rollback())
        return [self._own(each) for each in told]

    async def perform(self, name: str) -> list[str]:
        """Perform an operation of the identity service; return what came of it."""
        return [self._own(await outcome(ACCOUNT_MUTATIONS[name](self.scene)))]

    async def events(self) -> list[str]:
        found = await self.scene.world.events(tenant_id=self.scene.tenant_id)
        return [
            self._own((event.type, event.time, event.actor, event.user_id, event.data)) for event in found
        ]

    def _own(self, told: Any) -> str:
        text = _SLUG.sub("another", _ENUM.sub(r"\1", repr(told)))
        return _OWN.sub(lambda found: self.numbers.setdefault(found[0], f"#{len(self.numbers)}"), text)


async def walker(world: World) -> Walker:
    world.clock.step = timedelta(seconds=1)  # so that no two rows are equally old
    return Walker(await build_scene(world))


@settings(
    max_examples=examples(20, torture=6_500),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(walk=WALKS)
async def test_a_walk_goes_the_same_way_in_both_worlds(
    database: Database, walk: list[tuple[bool, list[str]] | str]
) -> None:
    walkers = [await walker(world) for world in (MemoryWorld(), PostgresWorld(database))]
    for step in walk:
        if isinstance(step, str):
            told = [await each.perform(step) for each in walkers]
        else:
            commits, names = step
            told = [await each.transact(names, commits=commits) for each in walkers]
        TALLY["steps compared with the model"] += len(told[0])
        assert told[0] == told[1], step
    in_memory, on_postgresql = [await each.events() for each in walkers]
    assert in_memory == on_postgresql
