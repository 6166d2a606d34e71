"""`hoc demo`: creates a tenant with a history, by the engines that serve real tenants."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cli.configuration import Target, hoc_command, load_settings, require_development, require_target
from hoc.cli.development import development_keys
from hoc.cli.errors import database_errors
from hoc.cli.sign_in import note_demo, owner_link
from hoc.cus.account.L5_engines.email_address import fold, parse_email
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.session import new_id, utc_now
from hoc.cus.account.L5_schemas.values import (
    AnyTicketCategory,
    AnyTicketPriority,
    AnyTicketStatus,
    InvoiceStatus,
    Role,
)
from hoc.cus.account.L6_drivers.account_inserts import register
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.wiring import options_of, postgres_engines
from hoc.database import create_engine
from hoc.embedded import DataDirectory
from hoc.settings import Settings

_AGE_DAYS: Final = 140
_FRIDAY: Final = 5
_ABSENT: Final = 7  # every seventh person has never logged in
_NAMED: Final = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER)
_OTHERS: Final = (Role.ADMIN,) * 2 + (Role.MEMBER,) * 13 + (Role.VIEWER,) * 5
_COMPANIES: Final = (
    "Brightwater",
    "Alder & Finch",
    "Northgate",
    "Tern Robotics",
    "Kestrel Labs",
    "Ostrava Tea",
)
_FIRST_NAMES: Final = (
    *("Ada", "Amir", "Anouk", "Bea", "Chidi", "Dana", "Elif", "Emil", "Fatou", "Goran", "Hana", "Ines"),
    *("Jonas", "Kofi", "Lena", "Liang", "Mara", "Mateo", "Nadia", "Noor", "Oskar", "Priya", "Quentin"),
    *("Rosa", "Samuel", "Sofía", "Tariq", "Uma", "Viktor", "Yuki", "Zoë", "Ørjan"),
)
_LAST_NAMES: Final = (
    *("Abara", "Bergström", "Costa", "Dvořák", "Eriksen", "Ferrari", "García", "Haddad", "Ito", "Jansen"),
    *("Kowalska", "Laurent", "Mensah", "Nguyen", "O'Brien", "Petrov", "Quispe", "Rossi", "Schäfer"),
    *("Takeda", "Usman", "Vargas", "Weber", "Yamamoto", "Zhang"),
)
_TIMEZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Africa/Lagos", "UTC")
_TICKETS: Final[tuple[tuple[str, str, AnyTicketCategory, AnyTicketPriority, AnyTicketStatus], ...]] = (
    ("Invoice shows the old address", "Please put our new address on invoices.", "billing", "low", "closed"),
    ("Runs stop after ten minutes", "Since Monday every run ends early.", "technical", "urgent", "resolved"),
    ("Can we have a yearly plan?", "We would pay a year at once.", "billing", "medium", "resolved"),
    ("Transfer of a project", "Two of our teams are to share one project.", "account", "high", "in_progress"),
    ("Export of run logs", "How do we export the logs of a month?", "general", "medium", "open"),
    ("Webhook is called twice", "Some calls arrive twice within a second.", "technical", "high", "open"),
)


@dataclass(frozen=True, slots=True)
class _Person:
    user_id: str
    email: str
    name: str


class _Calendar:
    """The engines' clock, set by hand to days in the tenant's past."""

    def __init__(self, today: datetime) -> None:
        self.today = self._at = today

    def __call__(self) -> datetime:
        return self._at

    def days_ago(self, days: float) -> datetime:
        self._at = self.today - timedelta(days=days)
        return self._at


def create(data: DataDirectory) -> dict[str, Any]:
    """Create a tenant in one transaction, and note whose it is, for `owner_of_latest`.

    Returns:
        `tenant_id`, `name`, `sign_in_link` (as the owner, once; None without pages), and for `owner`,
        `admin`, `member` and `viewer` each `user_id`, `email`, `token`.

    Raises:
        CommandError: the server is not in development mode, or its database is missing or away.
    """
    settings = load_settings()
    require_development(settings, "hoc demo")
    target = require_target(settings, data)
    keys = development_keys(data)
    with database_errors(target.url):
        tenant_id, name, people = asyncio.run(_create(target, settings))
    owner = people[0].user_id
    note_demo(data, owner, tenant_id)
    link = owner_link(data, keys, owner, tenant_id)
    return {"tenant_id": tenant_id, "name": name, "sign_in_link": link} | {
        role: {
            "user_id": person.user_id,
            "email": person.email,
            "token": keys.issue(person.user_id, tenant_id, person.email),
        }
        for role, person in zip(_NAMED, people, strict=False)
    }


def readable(tenant: dict[str, Any], data: DataDirectory) -> str:
    """Return the tenant as text for people, with a first curl line to try."""
    settings = load_settings()
    server = data.server()
    base = (server.http if server else settings.public_url) + settings.mount_path.rstrip("/")
    people = "\n".join(
        f"  {role:8}{tenant[role]['email']:48}{tenant[role]['user_id']}" for role in map(str, _NAMED)
    )
    token = hoc_command("token", data)
    link = tenant["sign_in_link"]
    look = f"Look at it in a browser, as the owner (the link signs in once):\n\n  {link}\n\n" if link else ""
    return (
        f"{tenant['name']} is tenant {tenant['tenant_id']}, with {len(_NAMED) + len(_OTHERS)} members:\n\n"
        f"{people}\n\n"
        f"{look}"
        "List them as the owner:\n\n"
        f"  curl -s -H 'Authorization: Bearer {tenant['owner']['token']}' {base}/users\n\n"
        "A token for another member:\n\n"
        f"  {token} --tenant-id {tenant['tenant_id']} --user-id {tenant['viewer']['user_id']}"
    )


async def _create(target: Target, settings: Settings) -> tuple[str, str, list[_Person]]:
    calendar = _Calendar(utc_now())
    engines = postgres_engines(options_of(settings), clock=calendar)
    company = f"{secrets.choice(_COMPANIES)} {secrets.token_hex(3)}"
    people = _people(company)
    engine = create_engine(target.url, pool_size=1, pooler=target.pooler)
    try:
        async with engine.begin() as session:
            await _add_accounts(session, people, calendar)
            tenant_id = await _create_tenant(engines, session, company, people[0], calendar)
            await _bill(engines, session, tenant_id, calendar)  # the free plan has fewer seats
            await _join(engines, session, tenant_id, people, calendar)
            await _create_tickets(engines, session, tenant_id, people, calendar)
            await _meter(engines, session, tenant_id, calendar)
            await _invite(engines, session, tenant_id, people[0], calendar)
    finally:
        await engine.dispose()
    return tenant_id, company, people


def _people(company: str) -> list[_Person]:
    shuffle = secrets.SystemRandom().sample
    count = len(_NAMED) + len(_OTHERS)
    names = zip(shuffle(_FIRST_NAMES, count), shuffle(_LAST_NAMES, count), strict=True)
    domain = "-".join(word for word in company.lower().split() if word.isalnum()) + ".example.com"
    return [
        _Person(new_id("usr"), f"{_local_part(first)}@{domain}", f"{first} {last}") for first, last in names
    ]


def _local_part(first_name: str) -> str:
    return first_name.lower().translate(str.maketrans("íëø", "ieo"))


async def _add_accounts(session: AsyncConnection, people: list[_Person], calendar: _Calendar) -> None:
    """Register the people. For real users a gateway does this at their first login."""
    rows: list[dict[str, Any]] = []
    for number, person in enumerate(people):
        address = parse_email(person.email)
        days = _days_since_joining(number, len(people))
        registered = calendar.days_ago(days + 1)
        rows.append(
            {
                "user_id": person.user_id,
                "email": address.given,
                "email_key": address.key,
                "name": person.name,
                "name_key": fold(person.name),
                "email_verified": True,
                "timezone": secrets.choice(_TIMEZONES),
                "preferences": {"theme": secrets.choice(("dark", "light")), "weekly digest": True},
                "created_at": registered,
                "updated_at": registered,
                "last_login_at": calendar.days_ago(min(number, days) / 3) if (number + 1) % _ABSENT else None,
            }
        )
    await register(session, rows)


def _days_since_joining(number: int, count: int) -> float:
    return _AGE_DAYS * (1 - number / count)


async def _create_tenant(
    engines: Engines, session: AsyncConnection, company: str, owner: _Person, calendar: _Calendar
) -> str:
    calendar.days_ago(_AGE_DAYS)
    project = await engines.projects.create(
        session, owner.user_id, name=company, description="Created by hoc demo."
    )
    tenant_id = project.value.project_id
    for state in (1, 2, 3):
        calendar.days_ago(_AGE_DAYS - state)
        await engines.projects.advance_onboarding(session, tenant_id, state)
    return tenant_id


async def _join(
    engines: Engines, session: AsyncConnection, tenant_id: str, people: list[_Person], calendar: _Calendar
) -> None:
    """Invite each and accept. The token is issued here, so the server's courier has nothing to send."""
    owner, *joining = people
    roles = (*_NAMED[1:], *_OTHERS)
    for number, (person, role) in enumerate(zip(joining, roles, strict=True), start=1):
        days = _days_since_joining(number, len(people))
        calendar.days_ago(days + 0.2)
        invitation = await engines.invitations.invite(
            session, tenant_id, owner.user_id, email=person.email, role=role
        )
        issued = await issue_token(SqlInvitationMail(), session, tenant_id, invitation.id, now=calendar())
        if issued is None:
            raise RuntimeError("The invitation is not pending.")
        calendar.days_ago(days)
        await engines.acceptances.accept(session, invitation.id, issued[1])


async def _bill(engines: Engines, session: AsyncConnection, tenant_id: str, calendar: _Calendar) -> None:
    now = calendar.days_ago(0)
    months = [_month_start(now, back) for back in range(5)]
    period_end = _month_start(now, -1)
    await engines.billing.set_subscription(
        session,
        tenant_id,
        plan="pro",
        current_period_start=months[0],
        current_period_end=period_end,
        next_invoice_date=period_end,
    )
    statuses = (InvoiceStatus.OPEN, *[InvoiceStatus.PAID] * 3)
    for start, end, cents, status in zip(
        months[1:], months, (6_900, 4_900, 4_900, 4_900), statuses, strict=False
    ):
        await engines.billing.record_invoice(
            session,
            tenant_id,
            invoice_id=f"INV-{start:%Y%m}-{tenant_id[-6:]}",
            period_start=start,
            period_end=end,
            amount_cents=cents,
            status=status,
            description=f"Plan pro, {start:%B %Y}",
            currency="USD",
        )


def _month_start(now: datetime, back: int) -> datetime:
    """Return midnight UTC on the first day of the month that is `back` months before `now`."""
    months = now.year * 12 + now.month - 1 - back
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


async def _create_tickets(
    engines: Engines, session: AsyncConnection, tenant_id: str, people: list[_Person], calendar: _Calendar
) -> None:
    for number, (subject, description, category, priority, status) in enumerate(_TICKETS):
        days = 5.0 * (len(_TICKETS) - number) - 4
        calendar.days_ago(days)
        ticket = await engines.support.create_ticket(
            session,
            tenant_id,
            people[number].user_id,
            subject=subject,
            description=description,
            category=category,
            priority=priority,
        )
        if status == "open":
            continue
        calendar.days_ago(days - 0.3)
        text = "Thank you for telling us. We look into it, and answer here."
        await engines.support.reply(session, tenant_id, ticket.id, "support", text=text, as_support=True)
        if status == "in_progress":
            continue
        calendar.days_ago(days - 0.5)
        resolution = "Done; write again if anything is left."
        await engines.support.change_ticket_status(
            session, tenant_id, ticket.id, status=status, resolution=resolution
        )


async def _meter(engines: Engines, session: AsyncConnection, tenant_id: str, calendar: _Calendar) -> None:
    """A month of use that grows, with less of it at weekends; and a few API keys."""
    for key in ("build", "production", "staging"):
        await engines.leases.acquire(session, tenant_id, "max_api_keys", key)
    for days in range(30, -1, -1):
        day = calendar.days_ago(days)
        busy = (40 - days) / 40 * (0.3 if day.isoweekday() > _FRIDAY else 1)
        await engines.usage.record(
            session,
            tenant_id,
            runs=int(busy * (250 + secrets.randbelow(200))),
            tokens=int(busy * (200_000 + secrets.randbelow(150_000))),
        )


async def _invite(
    engines: Engines, session: AsyncConnection, tenant_id: str, owner: _Person, calendar: _Calendar
) -> None:
    """Leave three open invitations, which the server mails, an expired one and a revoked one."""
    domain = owner.email.partition("@")[2]
    ids: dict[str, str] = {}
    for days, name, role in (
        (12, "wanda", Role.MEMBER),
        (3, "xaver", Role.VIEWER),
        (0.8, "pia", Role.MEMBER),
        (0.1, "ravi", Role.VIEWER),
        (0, "thandi", Role.ADMIN),
    ):
        calendar.days_ago(days)
        invitation = await engines.invitations.invite(
            session, tenant_id, owner.user_id, email=f"{name}@{domain}", role=role
        )
        ids[name] = invitation.id
    calendar.days_ago(2)
    await engines.invitations.revoke(session, tenant_id, owner.user_id, ids["xaver"])
