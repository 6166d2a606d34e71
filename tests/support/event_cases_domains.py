"""A case for each event of a tenant's domains, and of the people who join by them."""

from datetime import timedelta
from typing import Any, Final

from support.event_scene import Case, Scene
from support.events import ParsedEvent

from hoc.cus.account.L5_schemas import events
from hoc.cus.account.L5_schemas.values import AnyDomainJoining, DomainJoining, Role

GRACE = timedelta(days=7)


async def claim(it: Scene, session: Any) -> object:
    return await it.facade.domains.claim(session, it.tenant_id, it.team.owner, it.domain)


async def check_in_vain(it: Scene, session: Any) -> None:
    await claim(it, session)
    await it.facade.domain_checks.record(session, it.tenant_id, it.domain, "missing")


async def verify(it: Scene, session: Any) -> None:
    await claim(it, session)
    await it.facade.domain_checks.record(session, it.tenant_id, it.domain, "found")


async def fail(it: Scene, session: Any) -> None:
    await verify(it, session)
    await it.facade.domain_checks.record(session, it.tenant_id, it.domain, "missing")


async def lose(it: Scene, session: Any) -> None:
    await fail(it, session)
    it.world.clock.advance(days=7)
    await it.facade.domain_checks.record(session, it.tenant_id, it.domain, "missing")


async def let_join(it: Scene, session: Any, joining: AnyDomainJoining = "ask") -> None:
    await verify(it, session)
    await it.facade.domains.update(session, it.tenant_id, it.team.owner, it.domain, joining=joining)


async def let_join_at_once(it: Scene, session: Any) -> None:
    await let_join(it, session, "open")


async def ask(it: Scene, session: Any) -> None:
    await let_join(it, session)
    await it.facade.joining.join(session, it.outsider, it.tenant_id)


async def remove(it: Scene, session: Any) -> None:
    await claim(it, session)
    await it.facade.domains.remove(session, it.tenant_id, it.team.owner, it.domain)


async def refuse(it: Scene, session: Any) -> None:
    await ask(it, session)
    await it.facade.joining.refuse(session, it.tenant_id, it.team.admin, it.outsider)


async def change(it: Scene, session: Any) -> None:
    await claim(it, session)
    await it.facade.domains.update(session, it.tenant_id, it.team.owner, it.domain, join_role="viewer")


CLAIMED, VERIFIED = ("domain.claimed",), ("domain.claimed", "domain.verified")

DOMAIN_CASES: Final = {
    "domain.claimed": Case(
        claim,
        lambda it, _: it.event(
            events.DomainClaimedEventData(it.tenant_id, it.domain, claimed_at=it.now), it.team.owner
        ),
    ),
    "domain.changed": Case(
        change,
        lambda it, _: it.event(
            events.DomainChangedEventData(
                it.tenant_id, it.domain, DomainJoining.CLOSED, Role.VIEWER, changed_at=it.now
            ),
            it.team.owner,
        ),
        beside=CLAIMED,
        again=lambda it, s: it.facade.domains.update(
            s, it.tenant_id, it.team.owner, it.domain, join_role="viewer"
        ),
    ),
    "domain.verified": Case(
        verify,
        lambda it, _: ParsedEvent(
            events.DomainVerifiedEventData(it.tenant_id, it.domain, verified_at=it.now),
            None,
            it.tenant_id,
            None,
        ),
        beside=CLAIMED,
        again=lambda it, s: it.facade.domain_checks.record(s, it.tenant_id, it.domain, "found"),
    ),
    "domain.failing": Case(
        fail,
        lambda it, _: ParsedEvent(
            events.DomainFailingEventData(
                it.tenant_id, it.domain, lost_at=it.now + GRACE, failing_since=it.now
            ),
            None,
            it.tenant_id,
            None,
        ),
        beside=VERIFIED,
        again=lambda it, s: it.facade.domain_checks.record(s, it.tenant_id, it.domain, "missing"),
    ),
    "domain.lost": Case(
        lose,
        lambda it, _: ParsedEvent(
            events.DomainLostEventData(it.tenant_id, it.domain, lost_at=it.now), None, it.tenant_id, None
        ),
        beside=(*VERIFIED, "domain.failing"),
        again=lambda it, s: it.facade.domain_checks.record(s, it.tenant_id, it.domain, "missing"),
    ),
    "domain.removed": Case(
        remove,
        lambda it, _: it.event(
            events.DomainRemovedEventData(it.tenant_id, it.domain, removed_at=it.now), it.team.owner
        ),
        beside=CLAIMED,
        again=lambda it, s: it.facade.domains.remove(s, it.tenant_id, it.team.owner, it.domain),
    ),
    "join.requested": Case(
        ask,
        lambda it, _: it.event(
            events.JoinRequestedEventData(it.tenant_id, it.outsider, it.domain, requested_at=it.now),
            it.outsider,
            user=it.outsider,
        ),
        beside=(*VERIFIED, "domain.changed"),
        again=lambda it, s: it.facade.joining.join(s, it.outsider, it.tenant_id),
    ),
    "join.refused": Case(
        refuse,
        lambda it, _: it.event(
            events.JoinRefusedEventData(it.tenant_id, it.outsider, refused_at=it.now),
            it.team.admin,
            user=it.outsider,
        ),
        beside=(*VERIFIED, "domain.changed", "join.requested"),
        again=lambda it, s: it.facade.joining.refuse(s, it.tenant_id, it.team.admin, it.outsider),
    ),
}
