"""A tenant in which every operation is possible, and cases of operations and their events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from support.events import ParsedEvent
from support.world import Team, World

from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.events import EventData

OPERATOR: Final = "usr_operator"


@dataclass(frozen=True, slots=True)
class Scene:
    """The owner has offered the member ownership, the viewer has a ticket, and two people are invited.

    ``invited`` has an account. ``newcomer`` is the invitation and token of a person who has none.
    ``outsider``
    has an account with an address in ``domain``.
    """

    world: World
    team: Team
    invited: str
    email: str
    invitation_id: str
    token: str
    newcomer: tuple[str, str]
    ticket_id: str
    domain: str
    outsider: str

    @property
    def facade(self) -> AccountsFacade:
        return self.world.facade

    @property
    def tenant_id(self) -> str:
        return self.team.tenant_id

    @property
    def now(self) -> datetime:
        return self.world.clock.now

    def event(self, data: EventData, actor: str, user: str | None = None) -> ParsedEvent:
        return ParsedEvent(data, actor, self.tenant_id, user)


async def build_scene(world: World) -> Scene:
    team, email = await world.team(), world.new_email()
    invited = await world.add_user(email)
    invitation_id, token = await world.invite(team.tenant_id, team.owner, email)
    newcomer = await world.invite(team.tenant_id, team.owner)
    async with world.transaction() as session:
        ticket = await world.facade.support.create_ticket(
            session, team.tenant_id, team.viewer, subject="S", description="D"
        )
        await world.facade.ownership.start(session, team.tenant_id, team.owner, team.member)
    domain = f"d{team.tenant_id[-12:]}.example.com"
    outsider = await world.add_user(f"outsider@{domain}")
    world.clock.advance(minutes=1)
    return Scene(world, team, invited, email, invitation_id, token, newcomer, ticket.id, domain, outsider)


Operation: TypeAlias = Callable[[Scene, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """An operation on the caller's session, its event, and the types of its other events, ``beside``.

    ``event`` makes the expected event of the operation's result. ``again`` then changes nothing; it is the
    operation itself, unless that would be another change.
    """

    do: Operation
    event: Callable[[Scene, Any], ParsedEvent]
    beside: tuple[str, ...] = ()
    again: Operation | None = None
