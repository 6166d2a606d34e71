"""A person with unusual texts in every field: after the erasure, nothing that hoc has or says contains one.

Every column of the schema that can hold text is given such a text here, or is listed as one that has nothing
personal. So a new column fails this test until somebody has decided what an erasure does to it.
"""

import subprocess
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from support.command_line import hoc
from support.servers import development_keys, server_process

from hoc.embedded import DataDirectory
from hoc.embedded.postgres_tools import PostgresTools

MARK: Final = f"xq7canary{uuid.uuid4().hex[:6]}"
OLD, NOW, NEXT = (f"{MARK}-{which}@example.com" for which in ("old", "now", "next"))
OPERATOR: Final = ("usr_operator", None, "accounts:admin", "accounts:write", "accounts:support")

KEPT: Final = {
    "an id or a secret": "[a-z_]+\\.([a-z_]+_(id|hash|by)|principal|key|actor|token)",
    "one of a few words": "[a-z_]+\\.(status|role|plan|type|quota|delivery|category|priority|joining"
    "|join_role|problem|currency|billing_period|version_num|route|event_type|kind)|webhook_attempts\\.error",
    "the tenant's own": "(tenants|tenant_slugs|tenant_domains|invoices|scim_tokens|scim_group_roles"
    "|scim_groups|webhook_endpoints)\\.[a-z_]+",
    "no text of a person": "(event_cursors\\.name|dead_events\\.reason|inbound_messages\\.subject"
    "|dead_messages\\.(subject|reason)|linked_identities\\.issuer|domain_mails\\.domain)",
    "kept empty by a constraint": "users\\.(timezone|locale)",
}

COLUMNS: Final = """
    SELECT c.relname || '.' || a.attname AS name, 'account.' || c.relname AS of, a.attname AS own
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = 'account' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
      AND a.atttypid = ANY ('{text,varchar,json,jsonb,bytea}'::regtype[]) AND NOT a.attisdropped
      AND c.relname || '.' || a.attname !~ $1
    ORDER BY 1
"""
PLANTED: Final = (
    """
    UPDATE account.invitations SET delivery = 'failed', delivery_error = $1
    WHERE accepted_user_id IS NOT NULL
    """,
    """
    INSERT INTO account.scim_users
      (tenant_id, resource_id, user_name, external_id, is_active, resource, compared, email, email_key)
    SELECT tenant_id, 'scu_1', $1::text, $1, true, to_jsonb($1), to_jsonb($1), email, email_key
    FROM account.invitations WHERE accepted_user_id IS NOT NULL
    """,
    """
    WITH groups AS (
      INSERT INTO account.scim_groups (tenant_id, resource_id, display_name, resource, compared)
      SELECT tenant_id, 'scg_1', 'admins', '{}', '{}' FROM account.scim_users RETURNING tenant_id
    )
    INSERT INTO account.scim_group_members (tenant_id, group_id, member_id, display)
    SELECT tenant_id, 'scg_1', 'scu_1', $1::text FROM groups
    """,
    """
    INSERT INTO account.dead_messages (message_id, subject, time, data, reason)
    VALUES ('m1', 'payment.failed', now(), convert_to($1, 'UTF8'), 'no such tenant')
    """,
    """
    INSERT INTO account.account_mails (mail_id, user_id, notice_to, due_at)
    SELECT 'mail_1', user_id, email, now() + interval '1 day' FROM account.users WHERE email = $1
    """,
)


class Client:
    """Speaks to the server as whoever is named, and expects the status."""

    def __init__(self, http: httpx.AsyncClient, directory: Path) -> None:
        self._http = http
        self._keys = development_keys(directory)

    async def page(self, path: str, caller: tuple[Any, ...]) -> str:
        """The page that this person's browser shows, which is one also where there is nothing to show."""
        session = self._keys.issue(caller[0], caller[1], scopes=caller[2:])
        shown = await self._http.get(path, headers={"Cookie": f"hoc_session={session}"})
        assert shown.status_code in {200, 404}, (path, shown.status_code)
        return shown.text

    async def __call__(
        self,
        status: int,
        request: str,
        caller: tuple[Any, ...],
        body: dict[str, Any] | None = None,
        **headers: str,
    ) -> Any:
        method, path = request.split(" ")
        token = self._keys.issue(caller[0], caller[1], scopes=caller[2:])
        answer = await self._http.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}", **headers}
        )
        assert answer.status_code == status, (request, answer.text)
        return answer.json()


async def a_marked_person(call: Client) -> tuple[str, str, tuple[Any, ...]]:
    """The person's id, a tenant of theirs, and its owner."""
    person, boss = f"usr_{uuid.uuid4().hex}", f"usr_{uuid.uuid4().hex}"
    profile, accept = f"/api/v1/accounts/profile/{person}", "/api/v1/accounts/ensure"
    await call(
        201,
        f"POST {accept}",
        OPERATOR,
        {"user_id": person, "email": OLD, "name": MARK, "email_verified": True},
    )
    await call(
        201, f"POST {accept}", OPERATOR, {"user_id": boss, "email": f"{boss}@example.com", "name": "Boss"}
    )
    tenants = [
        (await call(201, "POST /accounts/projects", (boss, None), {"name": "Acme"}))["project_id"]
        for _ in range(2)
    ]
    owner, own = (boss, tenants[0]), (person, tenants[0])
    invited = await call(
        201, "POST /accounts/users/invite", owner, {"email": OLD}, **{"Idempotency-Key": "invite"}
    )
    link = await call(200, f"POST /accounts/invitations/{invited['id']}/link", owner)
    await call(200, f"POST /accounts/invitations/{invited['id']}/accept", own, {"token": link["token"]})
    await call(200, f"PUT {profile}", OPERATOR, {"email": NOW, "email_verified": True})
    await call(200, f"PUT {profile}", (person, None), {"email": NEXT})
    await call(201, "POST /accounts/users/invite", (boss, tenants[1]), {"email": NOW})
    look = {"avatar_url": f"https://example.com/{MARK}", "preferences": {MARK: MARK}}
    await call(200, "PUT /accounts/profile", own, {"timezone": "Asia/Tokyo", "locale": "pt-BR", **look})
    await call(200, f"PUT /accounts/users/{person}", owner, {"metadata": {MARK: MARK}})
    await call(200, f"POST {profile}/sign-ins", OPERATOR, {"provider": MARK})
    await call(
        200, f"POST {profile}/identities", OPERATOR, {"subject": MARK, "issuer": "https://other.example"}
    )
    ticket = await call(
        201,
        "POST /accounts/support/tickets",
        own,
        {"subject": MARK, "description": MARK},
        **{"Idempotency-Key": "ticket"},
    )
    await call(201, f"POST /accounts/support/tickets/{ticket['id']}/replies", own, {"text": MARK})
    desk = f"/api/v1/tenants/{tenants[0]}/tickets/{ticket['id']}"
    await call(201, f"POST {desk}/replies", OPERATOR, {"text": MARK}, **{"Idempotency-Key": "reply"})
    await call(200, f"POST {desk}/resolve", OPERATOR, {"resolution": MARK})
    for is_active in (False, True):
        status = {"is_active": is_active, "reason": MARK}
        await call(200, f"PUT /api/v1/accounts/status/{person}", OPERATOR, status)
    return person, tenants[0], owner


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def marked_columns(connection: asyncpg.Connection) -> dict[str, bool]:
    """Each column that may have something personal, and whether a row of it has a mark."""
    columns = await connection.fetch(COLUMNS, f"^({'|'.join(KEPT.values())})$")
    found = "SELECT EXISTS (SELECT FROM {} WHERE {}::text ~* $1)"
    return {
        each["name"]: await connection.fetchval(
            found.format(each["of"], each["own"]), f"{MARK}|{MARK.encode().hex()}"
        )
        for each in columns
    }


def backed_up(url: str, directory: Path) -> str:
    """What `hoc backup` writes now, as SQL."""
    tools, file = PostgresTools.of(DataDirectory(directory)), directory / "hoc.dump"
    done = hoc("backup", file, "--data-dir", directory, HOC_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [tools.files.runtime / "bin" / "pg_restore", "--file=-", file],
        env={"LD_LIBRARY_PATH": str(tools.files.runtime / "lib"), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout


async def test_no_column_log_feed_or_answer_has_a_mark(fresh_database_url: str, tmp_path: Path) -> None:
    with server_process(fresh_database_url, tmp_path, log_requests="true", send_mail="false") as server:
        async with (
            httpx.AsyncClient(base_url=server.url) as http,
            connected(fresh_database_url) as connection,
        ):
            call = Client(http, tmp_path)
            person, tenant_id, owner = await a_marked_person(call)
            for statement in PLANTED:
                await connection.execute(statement, NOW)
            marked = await marked_columns(connection)
            unmarked = {name for name, is_marked in marked.items() if not is_marked}
            assert unmarked == {"outbox.payload"} or not unmarked, "give these a mark, or list them in KEPT"

            exported = [
                f"GET /api/v1/accounts/profile/{person}/export",
                f"GET /api/v1/tenants/{tenant_id}/export",
            ]
            of_person, of_tenant = [await call(200, each, OPERATOR) for each in exported]
            assert all(MARK in repr(of_person[kind]) for kind in ("directory_users", "directory_groups"))
            assert MARK in repr(of_tenant)
            pages = [
                *[(f"/admin/accounts/{person}", OPERATOR), ("/admin/accounts?status=inactive", OPERATOR)],
                *[(f"/projects/{tenant_id}/{path}", owner) for path in ("members", "tickets", "audit")],
            ]
            unmarked_pages = [page for page, caller in pages if MARK not in await call.page(page, caller)]
            assert unmarked_pages == ["/admin/accounts?status=inactive"]

            erased = await call(200, f"POST /api/v1/accounts/profile/{person}/erasure", OPERATOR)

            assert not any((await marked_columns(connection)).values())
            sql = backed_up(fresh_database_url, tmp_path)
            repeated = await call(
                409, "POST /accounts/users/invite", owner, {"email": OLD}, **{"Idempotency-Key": "invite"}
            )
            told = [
                erased,
                repeated,
                *[await call(200, each, OPERATOR) for each in exported],
                await call(200, "GET /api/v1/events?after=0", OPERATOR),
                await call(200, "GET /api/v1/accounts?is_active=all", OPERATOR),
                *[
                    await call(200, f"GET /accounts/{path}", owner)
                    for path in ("audit", "users", "users?status=inactive", "invitations", "support/tickets")
                ],
                *[await call.page(page, caller) for page, caller in pages],
            ]
        log = server.log.read_text()
    assert repeated["code"] == "answer_erased"
    assert tenant_id in repr(told)
    assert person in sql
    for name, text in {"dump": sql, "log": log, "answers": repr(told)}.items():
        assert MARK not in text, name
        assert MARK.encode().hex() not in text, name
