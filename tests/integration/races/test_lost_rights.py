"""A write is refused, and stores nothing, if its caller loses the right to it while it waits for a lock."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from support.races import meeting, rewrite
from support.seed import SeededInvitation, add_invitation, add_tenants, add_users, damage, scalar

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_schemas.errors import ForbiddenError, NotAMemberError, TenantNotActiveError
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database

REFUSALS = (ForbiddenError, NotAMemberError, TenantNotActiveError)
STORED = """
    SELECT jsonb_build_array(
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.tenant_id) FROM account.tenants r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.user_id) FROM account.memberships r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.invitation_id) FROM account.invitations r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.mail_id) FROM account.invitation_mails r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.ticket_id) FROM account.support_tickets r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.reply_id) FROM account.ticket_replies r),
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.tenant_id) FROM account.ownership_transfers r),
        (SELECT sum(sent) FROM account.invitation_limits), (SELECT sum(sent) FROM account.recipient_limits),
        (SELECT count(*) FROM account.users))
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A tenant whose admin has invited an account, and somebody without one."""

    url: str
    database: Database
    engines: Engines
    tenant: str
    owner: str
    admin: str
    member: str
    invited: SeededInvitation
    newcomer: SeededInvitation

    async def commit(self, step: "Step") -> None:
        async with self.database.transaction() as session:
            await step(self, session)


Step: TypeAlias = Callable[[Scene, Any], Awaitable[object]]


@pytest.fixture
async def at(fresh_database_url: str, fresh_database: Database) -> AsyncGenerator[Scene]:
    owner, admin, member, invited = await add_users(fresh_database, 4)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner", admin: "admin", member: "member"})
    scene = Scene(
        fresh_database_url,
        fresh_database,
        postgres_engines(Options()),
        tenant,
        owner,
        admin,
        member,
        await add_invitation(fresh_database, tenant, admin, email=f"{invited}@example.com"),
        await add_invitation(fresh_database, tenant, admin),
    )
    await scene.commit(invite_first)
    await scene.commit(offer_ownership)
    await scene.commit(open_one_of_a_member)
    yield scene
    assert await damage(fresh_database) == []


def invite_first(at: Scene, session: Any) -> Awaitable[object]:
    """Makes the counters that later invitations wait for."""
    return at.engines.invitations.invite(session, at.tenant, at.owner, email="first@example.com")


def offer_ownership(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.ownership.start(session, at.tenant, at.owner, at.admin)


def accept(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.acceptances.accept(session, at.invited.id, at.invited.token)


def accept_without_account(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.acceptances.accept(session, at.newcomer.id, at.newcomer.token)


def revoke(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.invitations.revoke(session, at.tenant, at.admin, at.invited.id)


def resend(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.invitations.resend(session, at.tenant, at.admin, at.invited.id)


def invite(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.invitations.invite(session, at.tenant, at.admin, email="second@example.com")


def open_a_ticket(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.support.create_ticket(session, at.tenant, at.admin, subject="Help", description="Now")


def rename(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.projects.update(session, at.tenant, at.admin, at.tenant, name="New", slug="new")


def annotate_another(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.members.update(session, at.tenant, at.admin, at.member, metadata={"a": 1})


async def open_one_of_a_member(at: Scene, session: Any) -> None:
    create = at.engines.support.create_ticket
    await create(session, at.tenant, at.member, subject="Help", description="Now")


async def answer_a_ticket(at: Scene, session: Any) -> None:
    support = at.engines.support
    listed = await support.list_tickets(session, at.tenant)
    await support.reply(session, at.tenant, listed.value.tickets[0].id, at.admin, text="Yes")


def remove_another(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.members.remove(session, at.tenant, at.admin, at.member)


def leave(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.members.leave(session, at.tenant, at.admin)


def accept_ownership(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.ownership.accept(session, at.tenant, at.admin)


def decline_ownership(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.ownership.cancel(session, at.tenant, at.admin)


def is_removed(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.members.remove(session, at.tenant, at.owner, at.admin)


def is_demoted(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.members.change_role(session, at.tenant, at.owner, at.admin, "viewer")


def is_suspended(at: Scene, session: Any) -> Awaitable[object]:
    return at.engines.projects.change_status(session, at.tenant, "suspended")


def is_deactivated(at: Scene, session: Any) -> Awaitable[object]:  # noqa: ARG001 - in a transaction of its own
    inactive = AccountStatusChangeRequest(is_active=False)
    return create_account_service(at.database).change_account_status(at.admin, inactive)


LOSSES = (is_removed, is_demoted, is_suspended, is_deactivated)
INVITED = "SELECT FROM account.users u JOIN account.invitations i USING (email_key) FOR UPDATE OF u"


def rows(name: str) -> str:
    """Locks the rows of a table."""
    return f"SELECT FROM account.{name} FOR UPDATE"


def called(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("loss", LOSSES, ids=called)
@pytest.mark.parametrize(
    ("write", "lock"),
    [
        (accept, INVITED),
        (revoke, rows("invitations")),
        (resend, rows("invitations")),
        (resend, rows("invitation_limits")),
        (invite, rows("invitation_limits")),
        (answer_a_ticket, rows("support_tickets")),
    ],
    ids=called,
)
async def test_a_write_fails_if_rights_are_lost_while_it_waits(
    at: Scene, write: Step, lock: str, loss: Step
) -> None:
    await _fails_after(at, write, lock, loss)


@pytest.mark.parametrize("loss", [is_removed, is_demoted, is_suspended], ids=called)
async def test_no_account_is_made_if_its_inviter_lost_the_right(at: Scene, loss: Step) -> None:
    await _fails_after(at, accept_without_account, "LOCK TABLE account.users IN SHARE MODE", loss)


async def _fails_after(at: Scene, write: Step, lock: str, loss: Step) -> None:
    async with meeting(at.url, lock) as held:
        task = await held.join(at.commit(write))
        assert not task.done()
        await at.commit(loss)
        stored = await scalar(at.database, STORED)
    with pytest.raises(REFUSALS):
        await task
    assert await scalar(at.database, STORED) == stored


@pytest.mark.parametrize("loss", [is_removed, is_suspended], ids=called)
@pytest.mark.parametrize(
    "write",
    [
        *(accept, revoke, resend, invite, open_a_ticket, answer_a_ticket),
        *(rename, annotate_another, remove_another, leave, accept_ownership, decline_ownership),
    ],
    ids=called,
)
async def test_a_write_waits_until_a_loss_of_rights_has_ended(at: Scene, write: Step, loss: Step) -> None:
    async with meeting(at.url, "SELECT") as held:
        async with at.database.transaction() as session:
            await loss(at, session)
            task = await held.join(at.commit(write))
            assert not task.done()
        stored = await scalar(at.database, STORED)
    with pytest.raises(REFUSALS):
        await task
    assert await scalar(at.database, STORED) == stored


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_loss_of_rights_waits_for_a_write_that_has_them(at: Scene, *, taken_out: bool) -> None:
    if taken_out:
        rewrite(at.database, (r"FOR SHARE\)", ")"))
    async with meeting(at.url, "SELECT FROM account.member_counts WHERE role = 'member' FOR UPDATE") as held:
        accepting = await held.join(at.commit(accept))
        removing = await held.join(at.commit(is_removed))
        assert not accepting.done()
        assert removing.done() is taken_out
    await asyncio.gather(accepting, removing)
