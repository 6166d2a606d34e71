"""Whose account it is: linked identities, claims of unclaimed accounts, and verified addresses."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    Text,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from hoc.cus.account.L5_schemas.events import (
    UserEmailLostEventData,
    UserIdentityLinkedEventData,
    UserIdentityUnlinkedEventData,
    UserProfileUpdatedEventData,
    UserSignedInEventData,
)
from hoc.cus.account.L5_schemas.port_types import AddressHolder, NewAccount, Subject
from hoc.cus.account.L5_schemas.results import LinkedIdentityResult
from hoc.cus.account.L6_drivers.account_inserts import ensure
from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, NOW, USER
from hoc.cus.account.L6_drivers.member_texts import copy_text
from hoc.cus.account.L6_drivers.outbox import names_of, recorded
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import linked_identities, users

ISSUER = param("issuer", String)
SUBJECT = param("subject", String)
EMAIL_KEY = param("email_key", String)
NAME = param("name", String)
NAME_KEY = param("name_key", Text)
PROVIDER = param("provider", String)
A_MINUTE: ColumnElement[Any] = literal_column("interval '1 minute'")

THIS_IDENTITY = (linked_identities.c.issuer == ISSUER) & (linked_identities.c.subject == SUBJECT)

# Locked, so that nobody else claims the account, proves its address or takes it over meanwhile.
HOLDER = (
    select(users.c.user_id, users.c.is_active, users.c.email_verified, users.c.is_claimed)
    .where(users.c.email_key == EMAIL_KEY, users.c.deleted_at.is_(None))
    .with_for_update(key_share=True)
)

# Two claims of one subject must see each other's link, wherever they come from.
LOCK = select(
    func.pg_advisory_xact_lock(
        literal_column(str(int(AdvisoryLock.SUBJECT)), Integer), func.hashtext(ISSUER + " " + SUBJECT)
    )
)

OWNER_OF = select(linked_identities.c.user_id).where(THIS_IDENTITY)

ASKED = (
    func.unnest(param("issuers", ARRAY(String)), param("subjects", ARRAY(String)))
    .table_valued("issuer", "subject")
    .render_derived("asked")
)
OWNERS = select(linked_identities).join(
    ASKED,
    (linked_identities.c.issuer == ASKED.c.issuer) & (linked_identities.c.subject == ASKED.c.subject),
)

OF_ACCOUNT = (
    select(linked_identities.c.issuer, linked_identities.c.subject, linked_identities.c.linked_at)
    .where(linked_identities.c.user_id == USER)
    .order_by(linked_identities.c.linked_at, linked_identities.c.issuer, linked_identities.c.subject)
)

IS_ACTIVE = select(users.c.is_active).where(users.c.user_id == USER, users.c.erased_at.is_(None))
IS_ERASED = select(users.c.user_id).where(users.c.user_id == USER, users.c.erased_at.is_not(None))

LOCK_ACCOUNT = (
    select(users.c.user_id, users.c.has_generated_id)
    .where(users.c.user_id == ACCOUNT, users.c.is_active)
    .with_for_update(key_share=True)
)


def _link() -> AnySelect:
    """Links a subject to an account, unless it is linked already. The account counts as claimed."""
    linked = (
        insert(linked_identities)
        .values(issuer=ISSUER, subject=SUBJECT, user_id=USER, linked_at=NOW)
        .on_conflict_do_nothing()
        .returning(linked_identities)
        .cte("linked")
    )
    claimed = (
        update(users)
        .where(users.c.user_id == linked.c.user_id, ~users.c.is_claimed)
        .values(is_claimed=true())
        .cte("claimed")
    )
    return select(linked.c.user_id).add_cte(claimed, recorded(UserIdentityLinkedEventData, linked))


LINK = _link()


def _unlink() -> AnySelect:
    unlinked = (
        delete(linked_identities)
        .where(THIS_IDENTITY, linked_identities.c.user_id == USER)
        .returning(linked_identities)
        .cte("unlinked")
    )
    return select(unlinked.c.user_id).add_cte(recorded(UserIdentityUnlinkedEventData, unlinked))


UNLINK = _unlink()


def _verify() -> AnySelect:
    """Marks an account's address as verified. Gives it the name if it has none."""
    before = (
        select(users.c.user_id, users.c.email_verified, users.c.name)
        .where(users.c.user_id == USER)
        .cte("before")
    )
    gains_name = before.c.name.is_(None) & NAME.is_not(None)
    verified = (
        update(users)
        .where(users.c.user_id == before.c.user_id, or_(~before.c.email_verified, gains_name))
        .values(
            email_verified=true(),
            name=func.coalesce(users.c.name, NAME),
            name_key=func.coalesce(users.c.name_key, NAME_KEY),
            version=users.c.version + 1,
            updated_at=NOW,
        )
        .returning(
            users.c.user_id,
            users.c.email,
            func.coalesce(users.c.name, literal_column("''")).label("name"),
            names_of(email_verified=~before.c.email_verified, name=gains_name).label("updated_fields"),
        )
        .cte("verified")
    )
    return select(verified.c.user_id).add_cte(recorded(UserProfileUpdatedEventData, verified))


VERIFY = _verify()


def _displace() -> AnySelect:
    """Takes an unverified address from the active account that has it."""
    lost = (
        update(users)
        .where(
            users.c.email_key == EMAIL_KEY,
            users.c.deleted_at.is_(None),
            users.c.is_active,
            ~users.c.email_verified,
            users.c.user_id != ACCOUNT,
        )
        .values(email_key=None, version=users.c.version + 1, updated_at=NOW)
        .returning(users.c.user_id, users.c.email)
        .cte("lost")
    )
    return select(lost.c.user_id).add_cte(recorded(UserEmailLostEventData, lost))


DISPLACE = _displace()


def _sign_in() -> AnySelect:
    """Stores a sign-in unless one was stored within the minute before. The account counts as claimed."""
    account = select(users.c.user_id).where(users.c.user_id == ACCOUNT, users.c.is_active).cte("account")
    signed_in = (
        update(users)
        .where(
            users.c.user_id == account.c.user_id,
            or_(users.c.last_login_at.is_(None), users.c.last_login_at <= NOW - A_MINUTE),
        )
        .values(
            last_login_at=NOW,
            oauth_provider=func.coalesce(PROVIDER, users.c.oauth_provider),
            is_claimed=true(),
        )
        .returning(users.c.user_id, users.c.oauth_provider.label("provider"))
        .cte("signed_in")
    )
    return select(account.c.user_id).add_cte(recorded(UserSignedInEventData, signed_in))


SIGN_IN = _sign_in()

_identity = record_of(LinkedIdentityResult, OF_ACCOUNT)


@dataclass(frozen=True, slots=True)
class LockedAccount:
    """``has_generated_id``: no subject has the account's id, so only links lead to it."""

    user_id: str
    has_generated_id: bool


class SqlIdentities:
    """Linked identities and claims, in the caller's transaction."""

    async def holder(self, session: SqlSession, email_key: str) -> AddressHolder | None:
        """The account that has this address, locked until the transaction ends."""
        row = await fetch_one(session, HOLDER, email_key=email_key)
        return None if row is None else _holder(row)

    async def create(
        self, session: SqlSession, account: NewAccount, now: datetime, *, actor: str | None
    ) -> bool:
        """Store an active account, unclaimed if its id was generated. False: its id or address is taken."""
        row = await ensure(session, account, now, actor=actor)
        return row is not None and row.was_created

    async def is_active(self, session: SqlSession, user_id: str) -> bool | None:
        """Whether the account is active. None: there is no such account."""
        row = await fetch_one(session, IS_ACTIVE, user_id=user_id)
        return None if row is None else bool(row.is_active)

    async def is_erased(self, session: SqlSession, user_id: str) -> bool:
        """Whether the id is the pseudonym of a person who was erased."""
        return await fetch_one(session, IS_ERASED, user_id=user_id) is not None

    async def lock(self, session: SqlSession, subject: Subject) -> None:
        """Have no one else link the subject until the transaction ends."""
        await fetch_one(session, LOCK, issuer=subject.issuer, subject=subject.id)

    async def owner(self, session: SqlSession, subject: Subject) -> str | None:
        """The id of the account that the subject is linked to."""
        row = await fetch_one(session, OWNER_OF, issuer=subject.issuer, subject=subject.id)
        return None if row is None else str(row.user_id)

    async def owners(self, session: SqlSession, subjects: list[Subject]) -> dict[Subject, str]:
        """The ids of the accounts that subjects are linked to."""
        rows = await fetch_all(
            session,
            OWNERS,
            issuers=[subject.issuer for subject in subjects],
            subjects=[subject.id for subject in subjects],
        )
        return {Subject(row.subject, row.issuer): row.user_id for row in rows}

    async def link(
        self, session: SqlSession, subject: Subject, user_id: str, now: datetime, *, actor: str | None
    ) -> bool:
        """Link a subject to an account. False: the subject is linked already."""
        return await self._change(session, LINK, subject, user_id, now=now, actor=actor)

    async def verify(
        self,
        session: SqlSession,
        user_id: str,
        now: datetime,
        *,
        actor: str | None,
        name: str | None = None,
        name_key: str | None = None,
    ) -> None:
        """Mark the account's address as verified, and give the account the name if it has none."""
        await fetch_one(session, VERIFY, user_id=user_id, name=name, name_key=name_key, now=now, actor=actor)
        if name is not None:
            await copy_text(session, user_id)

    async def displace(
        self, session: SqlSession, email_key: str, user_id: str, now: datetime, *, actor: str | None
    ) -> None:
        """Take the address from an active account, other than ``user_id``, that has not verified it."""
        lost = await fetch_one(session, DISPLACE, email_key=email_key, user_id=user_id, now=now, actor=actor)
        if lost is not None:
            await copy_text(session, lost.user_id)

    async def of_account(self, session: SqlSession, user_id: str) -> list[LinkedIdentityResult]:
        return [_identity(row) for row in await fetch_all(session, OF_ACCOUNT, user_id=user_id)]

    async def lock_account(self, session: SqlSession, user_id: str) -> "LockedAccount | None":
        """An active account, locked so that its identities stay as they are until the transaction ends."""
        row = await fetch_one(session, LOCK_ACCOUNT, user_id=user_id)
        return None if row is None else LockedAccount(row.user_id, row.has_generated_id)

    async def record_sign_in(
        self, session: SqlSession, user_id: str, now: datetime, *, provider: str | None, actor: str | None
    ) -> bool:
        """Store a sign-in, at most one a minute. False: there is no such active account."""
        row = await fetch_one(session, SIGN_IN, user_id=user_id, provider=provider, now=now, actor=actor)
        return row is not None

    async def unlink(
        self, session: SqlSession, subject: Subject, user_id: str, now: datetime, *, actor: str | None
    ) -> bool:
        return await self._change(session, UNLINK, subject, user_id, now=now, actor=actor)

    async def _change(
        self,
        session: SqlSession,
        statement: AnySelect,
        subject: Subject,
        user_id: str,
        *,
        now: datetime,
        actor: str | None,
    ) -> bool:
        values = {"issuer": subject.issuer, "subject": subject.id, "user_id": user_id}
        return await fetch_one(session, statement, **values, now=now, actor=actor) is not None


def _holder(row: AnyRow) -> AddressHolder:
    return AddressHolder(row.user_id, row.is_active, row.email_verified, row.is_claimed)
