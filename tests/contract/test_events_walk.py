"""Random operations, committed and rolled back: each committed change has an event, and no other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.event_scene import Scene, build_scene
from support.events import parsed
from support.world import World

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """A value that operations change.

    ``put`` gives it one of ``values``. ``becomes`` is the value then, of the one before and the given one.
    The event of a change of its ``content`` has the new content as ``shown``.
    """

    values: st.SearchStrategy[Any]
    first: Any
    put: Callable[[Scene, Any, Any], Awaitable[object]]
    shown: str
    becomes: Callable[[Any, Any], Any] = lambda _before, given: given
    content: Callable[[Any], Any] = lambda value: value


def latest(before: tuple[str, int], given: tuple[str, int]) -> tuple[str, int]:
    return before if before[1] > given[1] else given


RULES = {
    "member.role_changed": Rule(
        st.sampled_from(["admin", "member", "viewer"]),
        "viewer",
        lambda it, s, role: it.facade.members.change_role(
            s, it.tenant_id, it.team.owner, it.team.viewer, role
        ),
        "role",
    ),
    "tenant.onboarding_advanced": Rule(
        st.integers(0, 4),
        0,
        lambda it, s, state: it.facade.projects.advance_onboarding(s, it.tenant_id, state),
        "onboarding_state",
        becomes=max,
    ),
    "tenant.quotas_changed": Rule(
        st.none() | st.integers(0, 2),
        None,
        lambda it, s, workers: it.facade.projects.override_quotas(s, it.tenant_id, max_workers=workers),
        "max_workers",
    ),
    "ticket.updated": Rule(
        st.sampled_from(["open", "in_progress"]),
        "open",
        lambda it, s, status: it.facade.support.change_ticket_status(
            s, it.tenant_id, it.ticket_id, status=status
        ),
        "status",
    ),
    "tenant.invoice_recorded": Rule(
        st.tuples(st.sampled_from(["open", "paid"]), st.integers(0, 3)),
        ("", 0),
        lambda it, s, given: it.facade.billing.record_invoice(
            s,
            it.tenant_id,
            invoice_id="in_1",
            period_start=MARCH,
            period_end=MARCH + timedelta(days=31),
            amount_cents=1,
            status=given[0],
            description="March",
            as_of=MARCH + timedelta(minutes=given[1]),
        ),
        "status",
        becomes=latest,
        content=lambda value: value[0],
    ),
}

Values: TypeAlias = dict[str, Any]
Event: TypeAlias = tuple[str, Any]


def expected(values: Values, kind: str, given: Any) -> list[Event]:
    """Change one of the values by its rule. Returns the events of that."""
    rule = RULES[kind]
    was = rule.content(values[kind])
    values[kind] = rule.becomes(values[kind], given)
    now = rule.content(values[kind])
    return [(kind, now)] if was != now else []


STEPS = st.one_of(*(st.tuples(st.just(kind), rule.values) for kind, rule in RULES.items()))
TRANSACTIONS = st.lists(st.tuples(st.booleans(), st.lists(STEPS, max_size=6)), max_size=6)


@settings(
    max_examples=examples(25, torture=300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(transactions=TRANSACTIONS)
async def test_the_events_are_the_committed_changes(
    world: World, transactions: list[tuple[bool, list[Event]]]
) -> None:
    scene = await build_scene(world)
    known = await world.events(tenant_id=scene.tenant_id)
    values: Values = {kind: rule.first for kind, rule in RULES.items()}
    happened: list[Event] = []
    async with world.session() as session:
        for commits, steps in transactions:
            trial, said = dict(values), list[Event]()
            for kind, given_value in steps:
                await RULES[kind].put(scene, session, given_value)
                said += expected(trial, kind, given_value)
            if commits:
                await session.commit()
                values, happened = trial, happened + said
            else:
                await session.rollback()
    new = [event for event in await world.events(tenant_id=scene.tenant_id) if event not in known]
    assert [(event.type, event.data[RULES[event.type].shown]) for event in new] == happened
    assert all(parsed(event).tenant_id == scene.tenant_id for event in new)
