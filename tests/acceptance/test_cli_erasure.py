"""`hoc user` and `hoc tenant`: erasing, the list of who was erased, and erasing again by it."""

import json
import uuid
from pathlib import Path

from support.command_line import hoc, refusal
from support.seed import add_account, add_tenants

from hoc.cus.account.L5_engines.session import utc_now
from hoc.database import Database


async def test_who_was_erased_is_listed_and_erased_again(
    fresh_database: Database, fresh_database_url: str, tmp_path: Path
) -> None:
    url = {"HOC_DATABASE_URL": fresh_database_url}
    owner, person = (f"usr_{uuid.uuid4().hex}" for _ in range(2))
    async with fresh_database.transaction() as session:
        for each in (owner, person):
            await add_account(session, each, f"{each}@example.com", email_verified=True, now=utc_now())
    [tenant_id] = await add_tenants(fresh_database, 1, {owner: "owner"})

    exported = json.loads(hoc("user", "export", person, **url).stdout)
    assert exported["account"]["email"] == f"{person}@example.com"
    erased = hoc("user", "erase", person, **url)
    assert erased.stdout.startswith(f"{person} was erased at ")
    assert "beyond reach" in erased.stderr
    [line] = hoc("user", "erased", **url).stdout.splitlines()
    assert json.loads(line)["user_id"] == person

    file = tmp_path / "erased.jsonl"
    file.write_text("\n".join([line, json.dumps({"user_id": owner}), json.dumps({"user_id": "usr_nobody"})]))
    again = hoc("user", "erase", "--replay", file, **url)
    assert again.stdout == "1 erased, 1 not in this database, 1 refused\n"
    assert f"{owner}: This person is the only owner of {tenant_id}." in again.stderr
    assert again.returncode == 1

    file.write_text(f"{line}\nnonsense\n")
    said, code = refusal("user", "erase", "--replay", file, **url)
    assert (f"{file}, line 2: " in said, code) == (True, 1)
    said, code = refusal("tenant", "erase", tenant_id, **url)
    assert ("terminate it first" in said, code) == (True, 1)
    assert hoc("user", "erase", **url).returncode == 2
