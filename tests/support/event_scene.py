"""A tenant in which everything that is told of can happen, and how a test says what is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from support.events import Told
from support.world import Team, World

from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.events import EventData

OPERATOR: Final = "usr_operator"


@dataclass(frozen=True, slots=True)
class Scene:
    """The owner has offered the member their ownership, somebody is invited, the viewer has a ticket."""

    world: World
    team: Team
    invited: str
    email: str
    invitation_id: str
    token: str
    ticket_id: str

    @property
    def facade(self) -> AccountsFacade:
        return self.world.facade

    @property
    def tenant_id(self) -> str:
        return self.team.tenant_id

    @property
    def now(self) -> datetime:
        return self.world.clock.now

    def told(self, data: EventData, actor: str, user: str | None = None) -> Told:
        return Told(data, actor, self.tenant_id, user)


async def build_scene(world: World) -> Scene:
    team, email = await world.team(), world.new_email()
    invited = await world.add_user(email)
    invitation_id, token = await world.invite(team.tenant_id, team.owner, email)
    async with world.transaction() as session:
        ticket = await world.facade.support.create_ticket(
            session, team.tenant_id, team.viewer, subject="S", description="D"
        )
        await world.facade.ownership.start(session, team.tenant_id, team.owner, team.member)
    world.clock.advance(minutes=1)
    return Scene(world, team, invited, email, invitation_id, token, ticket.id)


Operation: TypeAlias = Callable[[Scene, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """An operation on the caller's session, the event it causes, and the types of those ``beside`` it.

    ``says`` is given what the operation returned and when the event happened. Afterwards ``again`` changes
    nothing: the operation itself, unless that is another change.
    """

    do: Operation
    says: Callable[[Scene, Any, datetime], Told]
    beside: tuple[str, ...] = ()
    again: Operation | None = None
