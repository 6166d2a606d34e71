"""Which account a subject stands for: claimed by its first sign-in, linked to it, or no longer linked."""

from datetime import datetime

from hoc.cus.account.L5_schemas.identity import AccountProfileResponse
from hoc.cus.account.L5_schemas.port_types import AddressRefusal, LinkOutcome, NewAccount, Subject
from hoc.cus.account.L6_drivers.account_inserts import ensure
from hoc.cus.account.L6_drivers.account_records import record, stored_as
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.identities import SqlIdentities

_identities = SqlIdentities()


async def claim(
    session: SqlSession, account: NewAccount, now: datetime, *, actor: str | None
) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
    """Link the subject to the unclaimed account that has its verified address, or create an account."""
    await _identities.lock(session, account.subject)
    if account.has_generated_id:
        owner = await _identities.owner(session, account.subject)
    else:
        owner = account.user_id
    if owner is not None and (stored := await stored_as(session, owner)) is not None:
        return stored, False
    # A second time, when a rival has taken the address meanwhile.
    for _ in range(2):
        holder = await _identities.holder(session, account.email.key)
        if holder is not None and not (account.email_verified and holder.is_active):
            return AddressRefusal.TAKEN
        if holder is not None and not holder.is_claimed:
            await _identities.link(session, account.subject, holder.user_id, now, actor=actor)
            await _identities.verify(
                session, holder.user_id, now, actor=actor, name=account.name, name_key=account.name_key
            )
            claimed = await stored_as(session, holder.user_id)
            return AddressRefusal.TAKEN if claimed is None else (claimed, False)
        if holder is not None and holder.email_verified:
            return AddressRefusal.CLAIMED
        await _identities.displace(session, account.email.key, account.user_id, now, actor=actor)
        row = await ensure(session, account, now, actor=actor)
        if row is not None:
            if account.has_generated_id:
                await _identities.link(session, account.subject, account.user_id, now, actor=actor)
            return record(row), row.was_created
    return AddressRefusal.TAKEN


async def link(
    session: SqlSession, user_id: str, subject: Subject, now: datetime, *, actor: str | None
) -> LinkOutcome:
    """Have the subject stand for an account."""
    account = await _identities.lock_account(session, user_id)
    if account is None:
        return LinkOutcome.NO_ACCOUNT
    await _identities.lock(session, subject)
    owner = await _identities.owner(session, subject)
    if owner is None and subject.issuer == "":
        is_active = await _identities.is_active(session, subject.id)
        owner = None if is_active is None else subject.id
    if owner is not None:
        return LinkOutcome.DONE if owner == account.user_id else LinkOutcome.TAKEN
    by = account.user_id if actor == user_id else actor
    await _identities.link(session, subject, account.user_id, now, actor=by)
    return LinkOutcome.DONE


async def unlink(
    session: SqlSession, user_id: str, subject: Subject, now: datetime, *, actor: str | None
) -> LinkOutcome:
    """End a link, unless nobody could sign in to the account without it."""
    account = await _identities.lock_account(session, user_id)
    if account is None:
        return LinkOutcome.NO_ACCOUNT
    linked = await _identities.of_account(session, account.user_id)
    others = [one for one in linked if (one.issuer, one.subject) != (subject.issuer, subject.id)]
    if len(others) == len(linked):
        return LinkOutcome.DONE
    if account.has_generated_id and not others:
        return LinkOutcome.LAST
    by = account.user_id if actor == user_id else actor
    await _identities.unlink(session, subject, account.user_id, now, actor=by)
    return LinkOutcome.DONE
