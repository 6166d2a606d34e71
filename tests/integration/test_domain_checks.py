"""Domains are checked against a real DNS server, in the background, and owners are mailed."""

from collections.abc import Generator
from datetime import timedelta

import pytest
from support.dns import Zone, dns_server
from support.seed import execute, scalar
from support.smtp import smtp_server
from support.waiting import until
from support.world import PostgresWorld

from hoc.asgi import Accounts
from hoc.cus.account.L5_schemas.domains import DomainResult
from hoc.cus.account.L6_drivers.domain_lists import domain_refusal
from hoc.database import Database
from hoc.domains.checker import DomainChecker
from hoc.domains.lookup import DnsLookup
from hoc.mail.setup import create_courier
from hoc.mail.smtp import SmtpSender
from hoc.settings import Settings

NAME, TEXT = "_hoc-challenge.acme.example", "hoc-verification=t0ken"


@pytest.fixture
def zone() -> Generator[Zone]:
    with dns_server() as served:
        yield served


async def look(zone: Zone, seconds: float = 5) -> str:
    return await DnsLookup(zone.address, seconds=seconds)(NAME, TEXT)


async def test_a_record_is_found_among_others(zone: Zone) -> None:
    assert await look(zone) == "missing"
    zone.publish(NAME, "v=spf1 -all")
    assert await look(zone) == "missing"
    zone.publish(NAME, TEXT)
    assert await look(zone) == "found"


async def test_a_record_in_parts_or_behind_an_alias_is_found(zone: Zone) -> None:
    zone.aliases[NAME] = "elsewhere.example"
    zone.records["elsewhere.example"] = [[TEXT[:9], TEXT[9:]]]
    assert await look(zone) == "found"


async def test_a_long_answer_comes_over_tcp(zone: Zone) -> None:
    for number in range(30):
        zone.publish(NAME, f"{number} {'x' * 200}")
    zone.publish(NAME, TEXT)
    assert await look(zone) == "found"
    assert zone.asked[-1] == f"tcp {NAME}"


async def test_a_name_without_a_text_has_no_record(zone: Zone) -> None:
    zone.records[NAME] = []
    assert await look(zone) == "missing"


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_a_failing_server_is_no_missing_record(zone: Zone, rcode: str) -> None:
    zone.rcode = rcode
    assert await look(zone) == "unreachable"


async def test_a_silent_server_is_no_missing_record(zone: Zone) -> None:
    zone.is_silent = True
    assert await look(zone, 0.3) == "unreachable"


async def test_one_of_two_servers_is_enough(zone: Zone) -> None:
    zone.publish(NAME, TEXT)
    assert await DnsLookup(f"127.0.0.1:9, {zone.address}")(NAME, TEXT) == "found"


@pytest.mark.parametrize("wrong", ["", "dns.example", "192.0.2.1:0", "192.0.2.1:x", "[::1]x", "1.1.1.1,"])
def test_what_names_no_dns_server_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="HOC_DNS_SERVERS"):
        DnsLookup(wrong)


@pytest.mark.parametrize("right", ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53"])
def test_a_dns_server_may_have_a_port(right: str) -> None:
    DnsLookup(right)


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("gmail.com", "mail provider"),
        ("mail.yahoo.co.uk", "mail provider"),
        ("co.uk", "public suffix"),
        ("github.io", "public suffix"),
        ("xn--p1ai", "public suffix"),
    ],
)
def test_a_domain_of_everybody_is_refused(domain: str, why: str) -> None:
    assert why in (domain_refusal(domain) or "")


@pytest.mark.parametrize("domain", ["acme.example", "acme.co.uk", "acme.github.io", "xn--bcher-kva.example"])
def test_a_domain_of_ones_own_can_be_claimed(domain: str) -> None:
    assert domain_refusal(domain) is None


class Company:
    """A tenant with a claimed domain, and what checks it."""

    def __init__(self, database: Database, zone: Zone) -> None:
        self.world = PostgresWorld(database)
        self.zone = zone
        lookup = DnsLookup(zone.address, seconds=1)
        checks = self.world.engines.domain_checks
        self.checker = DomainChecker(database, checks, lookup, clock=self.world.clock)
        self.tenant_id = self.owner = self.domain = ""

    async def claim(self) -> DomainResult:
        self.tenant_id, self.owner = await self.world.tenant()
        self.domain = f"{self.world.new_id().replace('_', '-')}.example.org"
        async with self.world.transaction() as session:
            return await self.world.engines.domains.claim(session, self.tenant_id, self.owner, self.domain)

    async def check(self, **later: float) -> DomainResult:
        """The domain after the checks that are due after some time."""
        self.world.clock.advance(**later)
        while await self.checker.check_due():
            pass
        async with self.world.reading() as session:
            found = await self.world.engines.domains.get(session, self.tenant_id, self.owner, self.domain)
        return found.value


@pytest.fixture
def company(fresh_database: Database, zone: Zone) -> Company:
    return Company(fresh_database, zone)


async def test_a_domain_is_proved_and_proved_again(company: Company) -> None:
    claimed = await company.claim()
    assert (await company.check()).checked_at is None, "not before the record can be there"
    assert (await company.check(minutes=5)).problem == "missing"
    company.zone.publish(claimed.record_name, claimed.record_value)
    proved = await company.check(minutes=5)
    assert (proved.status, proved.problem) == ("verified", None)
    assert (await company.check(hours=23)).checked_at == proved.checked_at
    assert (await company.check(hours=1)).checked_at == company.world.clock.now


async def test_a_record_that_goes_is_told_to_the_owners(company: Company) -> None:
    claimed = await company.claim()
    company.zone.publish(claimed.record_name, claimed.record_value)
    await company.check(minutes=5)
    company.zone.records.clear()
    settings = Settings.model_construct(mail_from="accounts@hoc.example")
    with smtp_server() as smtp:
        sender = SmtpSender.from_url(smtp.url)
        for later, subject in ((timedelta(days=1), "is missing"), (timedelta(days=7), "no longer verified")):
            await company.check(days=later.days)
            # The courier goes by the time of day, which is not the checks'.
            await execute(company.world.database, "UPDATE account.domain_mails SET due_at = now()")
            await create_courier(company.world.database, settings, sender).deliver_due()
            mail = smtp.messages()[-1].message
            assert subject in str(mail["Subject"])
            assert claimed.record_name in mail.as_string()
        assert len(smtp.messages()) == 2
    assert (await company.check()).status == "pending"


async def test_a_warning_is_not_sent_once_the_record_is_back(company: Company) -> None:
    claimed = await company.claim()
    company.zone.publish(claimed.record_name, claimed.record_value)
    await company.check(minutes=5)
    kept = dict(company.zone.records)
    company.zone.records.clear()
    await company.check(days=1)
    company.zone.records |= kept
    assert (await company.check(hours=1)).failing_since is None
    await execute(company.world.database, "UPDATE account.domain_mails SET due_at = now()")
    settings = Settings.model_construct(mail_from="accounts@hoc.example")
    with smtp_server() as smtp:
        sender = SmtpSender.from_url(smtp.url)
        await create_courier(company.world.database, settings, sender).deliver_due()
        assert smtp.messages() == []
    assert await scalar(company.world.database, "SELECT count(*) FROM account.domain_mails") == 0


async def test_due_domains_are_claimed_by_one_checker(company: Company) -> None:
    for _ in range(9):
        await company.claim()
    company.world.clock.advance(minutes=5)
    other = DomainChecker(
        company.world.database,
        company.world.engines.domain_checks,
        DnsLookup(company.zone.address, seconds=1),
        clock=company.world.clock,
    )
    for checker in (company.checker, other, other):
        await checker.check_due()
    assert len(company.zone.asked) == 9


async def test_a_check_that_is_asked_for_comes_at_once(
    fresh_database_url: str, zone: Zone, company: Company
) -> None:
    """In the lifespan of an application: the request wakes the checker."""
    claimed = await company.claim()
    zone.publish(claimed.record_name, claimed.record_value)
    settings = Settings(
        database_url=fresh_database_url, domains=True, dns_servers=zone.address, send_mail=False
    )
    accounts = Accounts(settings)
    async with accounts.lifespan():

        async def is_verified() -> bool:
            status = "SELECT status FROM account.tenant_domains"
            return bool(await scalar(company.world.database, status) == "verified")

        async with accounts.database.transaction() as session:
            await accounts.facade.domains.request_check(
                session, company.tenant_id, company.owner, company.domain
            )
        await until(is_verified)
