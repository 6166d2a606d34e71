"""`hoc user`, `hoc tenant` and `hoc audit`: erasing, the list of who was erased, and the events as a file."""

import json
import uuid
from pathlib import Path

from support.command_line import hoc, refusal
from support.seed import add_account, add_tenants, add_users, execute

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.database import Database

TENANT_EVENT = (
    "INSERT INTO account.outbox (type, time, tenant_id, payload)"
    " VALUES ('tenant.status_changed', now(), :tenant_id, '{}')"
)


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
    file = tmp_path / "tenant.jsonl"
    done = hoc("tenant", "export", tenant_id, file, **url)
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert done.stderr == f"{len(rows)} rows exported\n"
    assert rows[0]["row"]["tenant_id"] == tenant_id
    assert f"{owner}@example.com" in {row["row"].get("email") for row in rows}
    said, code = refusal("tenant", "export", "ten_nobody", **url)
    assert ("There is no such tenant." in said, code) == (True, 1)
    said, code = refusal("tenant", "erase", tenant_id, **url)
    assert ("terminate it first" in said, code) == (True, 1)
    assert hoc("user", "erase", **url).returncode == 2


async def test_the_audit_trail_is_exported_in_order(
    fresh_database: Database, fresh_database_url: str, tmp_path: Path
) -> None:
    url = {"HOC_DATABASE_URL": fresh_database_url}
    await add_users(fresh_database, 2)
    tenants = ["ten_1", "ten_2"]
    for each in (*tenants, *tenants):
        await execute(fresh_database, TENANT_EVENT, tenant_id=each)
    async with fresh_database.transaction() as session:
        await SqlEventSequencing().create_cursors(session)
        while await SqlEventSequencing().sequence_events(session, 1_000):
            pass
    file = tmp_path / "audit.jsonl"
    done = hoc("audit", "export", file, **url)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert done.stderr == f"{len(lines)} events exported\n"
    assert [line["sequence"] for line in lines] == [*range(1, len(lines) + 1)]
    assert {*tenants} <= {line["tenant_id"] for line in lines}
    assert len(lines) >= len(tenants) * 2
    of_one = hoc("audit", "export", "--tenant-id", tenants[0], **url).stdout.splitlines()
    assert [json.loads(line) for line in of_one] == [
        line for line in lines if line["tenant_id"] == tenants[0]
    ]
    as_ocsf = hoc("audit", "export", "--format", "ocsf", **url).stdout.splitlines()
    assert [json.loads(event)["metadata"]["sequence"] for event in as_ocsf] == [*range(1, len(lines) + 1)]
    assert {json.loads(event)["class_uid"] for event in as_ocsf} == {3001, 3004}
    assert hoc("audit", "export", "--until", "2000-01-01T00:00:00Z", **url).stdout == ""
    assert hoc("audit", "export", "--since", "yesterday", **url).returncode == 2
