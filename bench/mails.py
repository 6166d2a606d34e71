"""How long invitations take through a slow SMTP server: from the request until the last mail is out."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from embedded import embedded_postgres
from support.seed import add_tenants, add_users
from support.smtp import SmtpServer, smtp_server

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import open_database, postgres_engines
from hoc.database import Database
from hoc.mail.setup import create_courier
from hoc.migrations import migrate
from hoc.settings import Settings

HANGS = "hangs@example.org"


async def invite(database: Database, addresses: list[str]) -> None:
    [owner] = await add_users(database, 1)
    [tenant] = await add_tenants(database, 1, {owner: "owner"}, seats=len(addresses) + 1)
    engines = postgres_engines(Options())
    async with database.transaction() as session:
        for address in addresses:
            await engines.invitations.invite(session, tenant, owner, email=address)


async def seconds(database: Database, smtp: SmtpServer, mails: int, at_once: int) -> float:
    """From the commit of the invitations until every mail but the one that hangs has been accepted."""
    before = len(smtp.messages())
    await invite(database, [HANGS, *(f"person-{n}@example.org" for n in range(mails))])
    settings = Settings(smtp_url=SecretStr(smtp.url), mail_concurrency=at_once)
    begun = time.perf_counter()
    async with create_courier(database, settings, None).running():
        while len(smtp.messages()) - before < mails:  # noqa: ASYNC110 - the server is another process
            await asyncio.sleep(0.01)
        taken = time.perf_counter() - begun
        smtp.hang()
    return taken


async def measure(url: str, smtp: SmtpServer, options: argparse.Namespace) -> None:
    await migrate(url)
    database = open_database(url)
    for _ in range(options.rounds):
        smtp.hang(HANGS)
        taken = await seconds(database, smtp, options.mails, options.at_once)
        print(
            f"{options.mails} invitations, {options.delay * 1_000:.0f} ms a command, one more mail hangs,"
            f" {options.at_once} at once: {taken:.1f} s, {smtp.connections().opened} connections so far"
        )
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds of the server for a command")
    parser.add_argument("--at-once", type=int, default=8, help="HOC_MAIL_CONCURRENCY")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with embedded_postgres() as url, smtp_server() as smtp:
        smtp.delay(options.delay)
        asyncio.run(measure(url, smtp, options))


if __name__ == "__main__":
    main()
