"""`hoc import` and `hoc export`."""

import csv
import json
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.command_line import HOC, environment, hoc, refusal
from support.postgres import TestServer

from hoc.bulk.importing import BATCH
from hoc.cus.account.L5_engines.paging import MAX_CURSOR_LENGTH
from hoc.cus.account.L5_schemas.identity import AccountListParams
from hoc.cus.account.wiring import create_account_service, open_database

HEADER = (
    "user_id,email,name,is_active,preferences,created_at,email_verified,email_lost,timezone,locale,avatar_url,"
    "oauth_provider,last_login_at,has_generated_id,is_claimed,deleted_at"
)
EVERYTHING = (
    f"{HEADER}\n"
    'u1,Ada@Example.com,"Lovelace, ""Ada"" ",true,"{""a"": {""b"": [1, ""é\\n\\\\""]}}",'
    "2025-01-31T09:30:00.123456+01:00,true,false,Europe/Berlin,de-at,https://example.com/a.png,"
    "google,2026-02-03T04:05:06Z,,,\n"
    "u2,zoë@bücher.example,Zoë \N{KELVIN SIGN},,,,,,,,,,,,,\n"
    "u3,gone@example.com,Gone,false,,2026-01-01T00:00:00Z,f,,,,,,,,,\n"
    "u4,gone@example.com,Deleted,false,,,,,,,,,,,,2026-01-02T00:00:00Z\n"
    "u5,ada@example.com,Lost,,,,,true,,,,,,,,\n"
    "usr_6,invited@example.com,Invited,,,,,,,,,,,true,false,\n"
)
STORED = """
    SELECT user_id, email, email_key, name, name_key, is_active, preferences, created_at, email_verified,
           timezone, locale, avatar_url, oauth_provider, last_login_at, has_generated_id, is_claimed,
           deleted_at
    FROM account.users ORDER BY user_id"""


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def stored(url: str) -> list[dict[str, Any]]:
    async with connected(url) as connection:
        return [dict(row) for row in await connection.fetch(STORED)]


async def assert_exact(url: str) -> None:
    """Compare totals and statistics with what counting gives."""
    async with connected(url) as connection:
        counted = await connection.fetchrow("""
            SELECT count(*), count(*) FILTER (WHERE is_active), count(*) FILTER (WHERE NOT is_active),
                   count(*) FILTER (WHERE created_at >= now() - interval '7 days'),
                   count(*) FILTER (WHERE created_at >= now() - interval '30 days')
            FROM account.users""")
    database = open_database(url, pool_size=1)
    try:
        stats = await create_account_service(database).get_service_stats()
    finally:
        await database.close()
    assert counted is not None
    assert tuple(counted) == (
        stats.total_accounts,
        stats.active_accounts,
        stats.inactive_accounts,
        stats.recent_registrations_7d,
        stats.recent_registrations_30d,
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def many(path: Path, count: int) -> Path:
    """Write accounts created evenly over 40 days, one in ten inactive."""
    now = datetime.now(UTC)
    rows = (
        f"u{i:06},user{i}@example.com,User {i},{'false' if i % 10 == 0 else 'true'},"
        f"{(now - timedelta(days=40 * i / count)).isoformat()}"
        for i in range(count)
    )
    return write(path, "\n".join(["user_id,email,name,is_active,created_at", *rows, ""]))


def importing(file: Path | str, data: Path, url: str) -> subprocess.Popen[str]:
    """Start an import in a process."""
    return subprocess.Popen(
        [HOC, "import", file, "--data-dir", data],
        env=environment(HOC_DATABASE_URL=url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def summary(imported: int, there: int, rejected: int) -> str:
    return f"{imported:,} imported, {there:,} already there, {rejected:,} rejected in "


async def test_every_column_is_stored_by_the_rules_of_services(
    fresh_database_url: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "accounts.csv", EVERYTHING)
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(summary(6, 0, 0))
    ada, zoe, gone, deleted, lost, invited = await stored(fresh_database_url)
    assert json.loads(ada.pop("preferences")) == {"a": {"b": [1, "é\n\\"]}}
    assert ada == {
        "user_id": "u1",
        "email": "Ada@Example.com",
        "email_key": "ada@example.com",
        "name": 'Lovelace, "Ada"',
        "name_key": 'lovelace, "ada"',
        "is_active": True,
        "created_at": datetime(2025, 1, 31, 8, 30, 0, 123456, UTC),
        "email_verified": True,
        "timezone": "Europe/Berlin",
        "locale": "de-AT",
        "avatar_url": "https://example.com/a.png",
        "oauth_provider": "google",
        "last_login_at": datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        "has_generated_id": False,
        "is_claimed": True,
        "deleted_at": None,
    }
    assert (zoe["name_key"], zoe["is_active"], zoe["preferences"]) == ("zoë \N{KELVIN SIGN}", True, "{}")
    assert (gone["is_active"], gone["email_verified"], gone["deleted_at"]) == (False, False, None)
    assert (deleted["email_key"], deleted["deleted_at"]) == (
        gone["email_key"],
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert (lost["email"], lost["email_key"]) == ("ada@example.com", None)
    assert (invited["has_generated_id"], invited["is_claimed"]) == (True, False)
    await assert_exact(fresh_database_url)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_an_export_imports_again_into_the_same_accounts(
    postgres_server: TestServer, fresh_database_url: str, tmp_path: Path, kind: str
) -> None:
    file = write(tmp_path / "accounts.csv", EVERYTHING)
    assert hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url).returncode == 0
    exported = tmp_path / f"out.{kind}"
    options = ("--include-inactive", "--data-dir", tmp_path)
    assert hoc("export", exported, *options, HOC_DATABASE_URL=fresh_database_url).returncode == 0
    assert exported.stat().st_mode & 0o777 == 0o600
    printed = hoc("export", "--format", kind, *options, HOC_DATABASE_URL=fresh_database_url)
    assert printed.stdout == exported.read_text(encoding="utf-8")
    async with postgres_server.new_database() as other:
        done = hoc("import", exported, "--data-dir", tmp_path, HOC_DATABASE_URL=other)
        assert (done.returncode, done.stderr) == (0, "")
        assert await stored(other) == await stored(fresh_database_url)
        await assert_exact(other)


def test_an_export_has_only_active_accounts_by_default(fresh_database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "accounts.csv", EVERYTHING)
    hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    printed = hoc("export", "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    rows = list(csv.DictReader(printed.stdout.splitlines()))
    assert sorted(row["user_id"] for row in rows) == ["u1", "u2", "u5", "usr_6"]
    assert ",".join(rows[0]) == HEADER


FORMULAS = (
    *("=1+1", "+1", "-1", "@SUM(1)", "\N{FULLWIDTH EQUALS SIGN}1", "'=1", "''=1", '"=1"', "'\"=1", "\"'=1"),
    *("'", "''", "'t Hooft", "O'Hara", '"\'"', "a=1", "''a", "7", "_=1"),
)


async def test_an_export_runs_no_formula_and_loses_nothing(
    postgres_server: TestServer, fresh_database_url: str, tmp_path: Path
) -> None:
    rows = [
        {
            "user_id": f"{text}/{n}".replace("/", "").replace(" ", ""),
            "email": f"+{n}@example.com",
            "name": text,
        }
        for n, text in enumerate(FORMULAS)
    ]
    file = write(tmp_path / "accounts.jsonl", "\n".join(map(json.dumps, rows)))
    assert hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url).returncode == 0
    for options, runs in (((), False), (("--raw",), True)):
        exported = tmp_path / "out.csv"
        hoc("export", exported, *options, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
        with exported.open(newline="") as opened:
            written = list(csv.DictReader(opened))
        found = {row[column] for row in written for column in ("user_id", "email", "name")}
        assert any(text.startswith(tuple("=+-@")) for text in found) == runs
        assert {"'", "''", "'t Hooft", "O'Hara", "''a", "_=1"} <= found
        assert ("=1+1" in found, "'=1+1" in found) == (runs, not runs)
        async with postgres_server.new_database() as other:
            done = hoc("import", exported, "--data-dir", tmp_path, HOC_DATABASE_URL=other)
            assert (done.returncode, done.stderr) == (0, "")
            assert await stored(other) == await stored(fresh_database_url)


CSV_ROWS = (
    ("user_id,email,name,is_active,preferences,created_at", None),
    ("good1,good1@example.com,Good,,,", None),
    ("a,no address,A,,,", "email: "),
    (",b@example.com,B,,,", "user_id: must be"),
    ("c,,C,,,", "email: is missing"),
    ("good1,other@example.com,Other,,,", "user_id: is on an earlier line with other content"),
    ("d,GOOD1@example.com,D,,,", "email: is another account's already"),
    ("e,there@example.com,E,,,", "email: is another account's already"),
    (
        "n,good1@\N{FULLWIDTH LATIN SMALL LETTER E}xample.com,N,,,",
        "email: is another account's already",
    ),
    ("o,o@example.com.,O,,,", "email: "),
    ("r,there@example.com,Not active,false,,", "email: is another account's already"),
    ("good2,good2@example.com,Not active,false,,", None),
    ("f,f@example.com,F\0,,,", "name: must not contain control characters"),
    ("p,p@example.com,\u200b,,,", "name: must contain visible characters"),
    ("q,q@example.com,Ada\u202egnp.exe,,,", "name: must not contain characters that change the direction"),
    ("g,g@example.com,G,perhaps,,", "is_active: must be true or false"),
    ('h,h@example.com,H,,{"a":,', "preferences: must be JSON"),
    ("i,i@example.com,I,,[],", "preferences: must be a JSON object"),
    ("j,j@example.com,J,,,2026-01-01T00:00:00", "created_at: must be an ISO 8601 time with its zone"),
    ("k,k@example.com,K,,,0001-01-01T00:00:00+05:00", "created_at: must be within the years 1900 to 2999"),
    ("s,s@example.com,S,,,9999-12-31T23:59:59.999999Z", "created_at: must be within the years 1900 to 2999"),
    ("t,t@example.com,T,,,3000-01-01T00:00:00Z", "created_at: must be within the years 1900 to 2999"),
    (",,,,,", None),
    (" , ,", None),
    ("l,l@example.com,L", "has 3 values for 6 columns"),
    (f"m,m@example.com,{'M' * 200_000},,,", "is not CSV"),
    ("good1,good1@example.com,Good,,,", None),
    ("", None),
    ("good3,good3@example.com,Good,,,", None),
)
JSON_ROWS = (
    ('{"user_id": "good1", "email": "good1@example.com", "name": "Good", "preferences": {"a": 1}}', None),
    ('{"user_id": "a", ', "is not JSON"),
    ("[]", "is not a JSON object"),
    (
        '{"user_id": "b", "email": "b@example.com", "name": "B", "colour": "red"}',
        "unknown column 'colour'",
    ),
    ('{"user_id": 7, "email": "c@example.com", "name": "C"}', "user_id: must be text"),
    ('{"user_id": "d", "email": "d@example.com", "name": "D", "is_active": 2}', "is_active: must be"),
    (r'{"user_id": "e", "email": "e@example.com", "name": "\ud800"}', "is not JSON"),
    (r'{"user_id": "f", "email": "f@example.com", "name": "F", "preferences": {"a": "\u0000"}}', "NUL"),
    ('{"user_id": "g", "email": "g@example.com", "name": "G", "timezone": "Mars"}', "timezone: must be"),
    ('{"user_id": "h", "email": "h@example.com"}', "name: is missing"),
    (
        '{"user_id": "i", "email": "i@example.com", "name": "I", "deleted_at": "2026-01-01T00:00:00Z"}',
        "deleted_at: must be empty for an active account",
    ),
    (
        '{"user_id": "j", "email": "j@example.com", "name": "J", "is_claimed": false}',
        "is_claimed: must be true unless has_generated_id is true",
    ),
    ('{"user_id": "good3", "email": "good3@example.com", "name": "Good"}', None),
)


@pytest.mark.parametrize(
    ("name", "rows", "good"),
    [("r.csv", CSV_ROWS, ["good1", "good2", "good3"]), ("r.jsonl", JSON_ROWS, ["good1", "good3"])],
)
@pytest.mark.parametrize("to_file", [False, True])
async def test_each_rejected_row_is_reported_and_not_stored(
    fresh_database_url: str,
    tmp_path: Path,
    name: str,
    rows: Iterable[tuple[str, str | None]],
    good: list[str],
    *,
    to_file: bool,
) -> None:
    there = write(tmp_path / "there.csv", "user_id,email,name\nthere,There@example.com,There\n")
    hoc("import", there, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    file = write(tmp_path / name, "".join(f"{row}\n" for row, _ in rows))
    rejects = tmp_path / "rejects.txt"
    options = ("--rejects", rejects) if to_file else ()
    done = hoc("import", file, *options, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert done.returncode == 1
    report = (rejects.read_text() if to_file else done.stderr).splitlines()
    expected = [(line, why) for line, (_, why) in enumerate(rows, start=1) if why is not None]
    assert [line.partition(":")[0] for line in report] == [f"line {line}" for line, _ in expected]
    assert [said for said, (_, why) in zip(report, expected, strict=True) if why not in said] == []
    repeated = 1 if name.endswith("csv") else 0
    assert done.stdout.startswith(summary(len(good), repeated, len(expected)))
    assert [row["user_id"] for row in await stored(fresh_database_url)] == [*good, "there"]
    await assert_exact(fresh_database_url)


async def test_only_a_row_that_is_not_utf_8_is_rejected(fresh_database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "latin"
    file.write_bytes(b"user_id,email,name\na,a@example.com,Zo\xeb\nb,b@example.com,Bea\n")
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert done.stderr == "line 2: is not in UTF-8, but perhaps in Windows-1252: save the file as UTF-8\n"
    assert [row["user_id"] for row in await stored(fresh_database_url)] == ["b"]


async def test_a_row_is_reported_by_the_line_it_begins_on(fresh_database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", '\ufeffuser_id,email,name\na,a@example.com,"A\nA"\nb,b,B\n')
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["line 2", "line 4"]


def test_the_lines_that_an_open_quote_takes_are_counted(fresh_database_url: str, tmp_path: Path) -> None:
    good = "".join(f"u{number},u{number}@example.com,Ada\n" for number in range(50))
    file = write(tmp_path / "f.csv", f'user_id,email,name\nq1,q1@example.com,"Bob\n{good}')
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert done.stderr.startswith("line 2: a quote that opens here is never closed")
    assert "lines 2 to 52" in done.stderr
    assert done.stdout.startswith(summary(0, 0, 51))


EXTREMES = (
    "1900-01-01T00:00:00Z",
    "1900-01-01T14:00:00.000001+14:00",
    "2999-12-31T23:59:59.999999Z",
    "2999-12-31T11:59:59.999999-12:00",
)


async def test_extreme_accounts_are_walked_and_exported(
    postgres_server: TestServer, fresh_database_url: str, tmp_path: Path
) -> None:
    """The cursors and files that hoc makes of any allowed account are taken back."""
    rows = [
        {
            "user_id": f"{number:03}{letter * 252}",
            "email": f"u{number}@example.com",
            "name": letter * 255,
            "created_at": EXTREMES[number % 4],
            "last_login_at": EXTREMES[number % 3],
            **({"is_active": False, "deleted_at": EXTREMES[number % 4]} if number % 5 == 0 else {}),
        }
        for number, letter in enumerate('a\\"é漢😀' * 20)
    ]
    file = write(tmp_path / "in.jsonl", "\n".join(map(json.dumps, rows)))
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert (done.returncode, done.stderr) == (0, "")
    database = open_database(fresh_database_url, pool_size=1)
    try:
        service = create_account_service(database)
        walked: list[str] = []
        cursor = None
        while not walked or cursor is not None:
            page = await service.list_accounts(AccountListParams(page_size=7, is_active=None, cursor=cursor))
            walked += [account.user_id for account in page.accounts]
            cursor = page.next_cursor
            assert cursor is None or len(cursor) <= MAX_CURSOR_LENGTH
    finally:
        await database.close()
    assert sorted(walked) == sorted(str(row["user_id"]) for row in rows)
    for kind in ("csv", "jsonl"):
        exported = tmp_path / f"out.{kind}"
        options = ("--include-inactive", "--data-dir", tmp_path)
        assert hoc("export", exported, *options, HOC_DATABASE_URL=fresh_database_url).returncode == 0
        async with postgres_server.new_database() as other:
            done = hoc("import", exported, "--data-dir", tmp_path, HOC_DATABASE_URL=other)
            assert (done.returncode, done.stderr) == (0, "")
            assert await stored(other) == await stored(fresh_database_url)


async def test_existing_accounts_are_left_unchanged(fresh_database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", EVERYTHING)
    for outcome in (summary(6, 0, 0), summary(0, 6, 0)):
        done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
        assert done.stdout.startswith(outcome)
    before = await stored(fresh_database_url)
    other = write(tmp_path / "g.csv", "user_id,email,name\nu1,new@example.com,New\n")
    done = hoc("import", other, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert (done.returncode, done.stdout[: len(summary(0, 1, 0))]) == (0, summary(0, 1, 0))
    assert await stored(fresh_database_url) == before
    await assert_exact(fresh_database_url)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("user_id,email,name,colour", "unknown column 'colour'"),
        ("user_id,name", "the header lacks email"),
        ("user_id,email,name,name", "a column twice"),
    ],
)
def test_a_wrong_header_is_explained_in_one_line(
    fresh_database_url: str, tmp_path: Path, header: str, why: str
) -> None:
    file = write(tmp_path / "f.csv", f"{header}\n1,2,3,4\n")
    line, code = refusal("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert why in line
    assert code == 1


def test_a_missing_file_is_explained_in_one_line(fresh_database_url: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "f.csv"
    for command in ("import", "export"):
        line, code = refusal(command, missing, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
        assert str(missing) in line
        assert code == 1


def test_an_address_in_a_closed_network_is_imported(fresh_database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", "user_id,email,name\nu1,admin@corp.local,Admin\n")
    variables = {"HOC_DATABASE_URL": fresh_database_url, "HOC_SPECIAL_USE_DOMAINS": "true"}
    done = hoc("import", file, "--data-dir", tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, "")


async def test_no_account_is_stored_under_a_linked_subject(fresh_database_url: str, tmp_path: Path) -> None:
    """Its subject signs in to another account, so nobody could reach it."""
    async with connected(fresh_database_url) as connection:
        await connection.execute("""
            INSERT INTO account.users (user_id, email, email_key)
            VALUES ('ada', 'a@example.com', 'a@example.com');
            INSERT INTO account.linked_identities (issuer, subject, user_id)
            VALUES ('', 'linked', 'ada'), ('https://id.example.com', 'free', 'ada')""")
    file = write(
        tmp_path / "accounts.csv",
        "user_id,email,name\nlinked,linked@example.com,Linked\nfree,free@example.com,Free\n",
    )
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert done.returncode == 1
    assert done.stderr == "line 2: user_id: is linked to another account already\n"
    assert [row["user_id"] for row in await stored(fresh_database_url)] == ["ada", "free"]


async def test_an_imported_account_has_an_event_unless_it_is_deleted(
    fresh_database_url: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "accounts.csv", EVERYTHING)
    hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    async with connected(fresh_database_url) as connection:
        recorded = await connection.fetch("SELECT type, user_id FROM account.outbox ORDER BY user_id")
    users = ["u1", "u2", "u3", "u5", "usr_6"]
    assert [tuple(row) for row in recorded] == [("user.created", user) for user in users]


async def test_standard_input_is_read(fresh_database_url: str, tmp_path: Path) -> None:
    with importing("-", tmp_path, fresh_database_url) as process:
        printed, _ = process.communicate('{"user_id": "a", "email": "a@example.com", "name": "A"}\n')
    assert printed.startswith(summary(1, 0, 0))


async def test_a_killed_import_leaves_only_whole_batches(fresh_database_url: str, tmp_path: Path) -> None:
    """The next import stores the rest."""
    count = 8 * BATCH
    file = many(tmp_path / "many.csv", count)
    with importing(file, tmp_path, fresh_database_url) as process:
        await wait_for_first_batch(fresh_database_url, process.poll)
        process.send_signal(signal.SIGKILL)
    async with connected(fresh_database_url) as connection:
        clients = """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend'"""
        while await connection.fetchval(clients) > 1:  # until PostgreSQL notices that the client is gone
            pass
        found = await connection.fetchval("SELECT count(*) FROM account.users")
    assert found % BATCH == 0
    assert 0 < found < count
    await assert_exact(fresh_database_url)
    done = hoc("import", file, "--data-dir", tmp_path, HOC_DATABASE_URL=fresh_database_url)
    assert done.stdout.startswith(summary(count - found, found, 0))
    await assert_exact(fresh_database_url)


async def wait_for_first_batch(url: str, ended: Callable[[], int | None]) -> None:
    async with connected(url) as connection:
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM account.users)"):
            assert ended() is None, "It ended without storing anything."


async def test_two_imports_of_the_same_accounts_share_the_work(
    fresh_database_url: str, tmp_path: Path
) -> None:
    files = [many(tmp_path / "f.csv", BATCH + 1), tmp_path / "backwards.csv"]
    header, *rows = files[0].read_text().splitlines()
    write(files[1], "\n".join([header, *reversed(rows), ""]))
    processes = [importing(file, tmp_path, fresh_database_url) for file in files]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(int(line.split()[0].replace(",", "")) for line in printed) == BATCH + 1
    assert len(await stored(fresh_database_url)) == BATCH + 1
    await assert_exact(fresh_database_url)
