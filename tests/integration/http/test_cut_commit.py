"""A connection that is cut in the middle of a COMMIT, or of its answer: what the caller is told is true."""

import uuid
from typing import Final

from support.console import ConsoleOn, problem_of
from support.effort import TALLY
from support.outage import proxied
from support.seed import scalar
from support.waiting import until

from hoc.database import Database

COMMIT: Final = b"Q\x00\x00\x00\x0cCOMMIT;\x00"
ANSWER: Final = b"C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05I"
STORED: Final = "SELECT count(*) FROM account.support_tickets WHERE subject = :subject"


async def look_on(_session: object, _event: object) -> None:
    """A hook has a ticket stored in a transaction, not in one statement."""


async def test_a_commit_that_is_cut_is_told_truly(
    console_on: ConsoleOn, fresh_database_url: str, fresh_database: Database
) -> None:
    """After each number of bytes. PostgreSQL commits once it has the whole message."""
    async with (
        proxied(fresh_database_url) as (url, proxy),
        console_on(
            f"{url}?sslmode=disable&connect_timeout=20", pool_size=1, hooks={"ticket.created": look_on}
        ) as console,
    ):
        tenant_id, owner = await console.tenant()
        headers = console.as_(owner, tenant_id)
        for count in range(len(COMMIT + ANSWER) + 1):
            subject, commits = uuid.uuid4().hex, count >= len(COMMIT)
            proxy.cut_at(COMMIT, count)
            ticket = {"subject": subject, "description": "Please."}
            answer = await console.client.post("/support/tickets", json=ticket, headers=headers)
            if count < len(COMMIT + ANSWER):
                assert (answer.status_code, problem_of(answer)["code"]) == (503, "outcome_unknown"), count
            else:
                assert answer.status_code == 201

            async def is_as_told(subject: str = subject, *, commits: bool = commits) -> bool:
                return await scalar(fresh_database, STORED, subject=subject) == commits

            await until(is_as_told)

            async def works() -> bool:
                return (await console.client.get("/users", headers=headers)).status_code == 200

            await until(works)
            TALLY["COMMITs cut"] += 1
