"""The commands on a configured database, with a server and without, and their one-line errors."""

import json
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from support.command_line import (
    RunningServer,
    command_of,
    data_directory,
    environment,
    hoc,
    postgres_of,
    printed_json,
    refusal,
    serving,
    wait_until,
)

NAMED = ("owner", "admin", "member", "viewer")


@pytest.fixture(scope="module")
def server(database_url: str) -> Iterator[RunningServer]:
    """Give a server of two workers on a configured database."""
    with data_directory() as data, serving(data, "--workers", "2", HOC_DATABASE_URL=database_url) as running:
        yield running


def test_with_a_database_url_no_postgresql_is_started(server: RunningServer, database_url: str) -> None:
    info = printed_json("info", "--json", "--data-dir", server.data)
    assert (info["http"], info["database_url"]) == (server.url, database_url)
    assert not (server.data / "postgres").exists()
    assert postgres_of(server.data) == []


def test_info_as_text_hides_the_password(server: RunningServer, database_url: str) -> None:
    shown = hoc("info", "--data-dir", server.data)
    assert shown.returncode == 0
    assert server.url in shown.stdout
    password = re.search(":([^:@]+)@", database_url)
    assert password is not None
    assert password[1] not in shown.stdout


def test_the_environment_can_set_the_data_directory(server: RunningServer) -> None:
    assert printed_json("info", "--json", HOC_DATA_DIR=str(server.data))["http"] == server.url


def test_each_demo_creates_a_complete_tenant(server: RunningServer) -> None:
    first, second = (printed_json("demo", "--json", "--data-dir", server.data) for _ in range(2))
    assert first["tenant_id"] != second["tenant_id"]
    for role in NAMED:
        token = first[role]["token"]
        profile = server.get("/accounts/profile", token).json()
        assert {profile["user_id"], profile["email"]} == {first[role]["user_id"], first[role]["email"]}
        user = server.get(f"/accounts/users/{first[role]['user_id']}", token).json()
        assert user["role"] == role
    owner = first["owner"]["token"]
    users = server.get("/accounts/users", owner).json()
    assert users["total"] >= 24
    assert {user["role"] for user in users["items"]} == set(NAMED)
    assert all(
        user["last_login_at"] is None or user["created_at"] < user["last_login_at"] for user in users["items"]
    )
    billing = server.get("/accounts/billing", owner).json()
    assert (billing["plan"], billing["status"]) == ("pro", "active")
    assert billing["runs_this_month"] > 0
    invoices = server.get("/accounts/billing/invoices", owner).json()["invoices"]
    assert {invoice["status"] for invoice in invoices} == {"paid", "open"}
    tickets = server.get("/accounts/support/tickets", owner).json()["tickets"]
    assert {ticket["status"] for ticket in tickets} == {"open", "in_progress", "resolved", "closed"}
    invitations = server.get("/accounts/invitations", owner).json()["invitations"]
    assert {i["status"] for i in invitations} == {"pending", "accepted", "expired", "revoked"}
    assert server.get(f"/accounts/projects/{first['tenant_id']}", owner).json()["onboarding_state"] > 0
    assert server.get(f"/accounts/users/{second['owner']['user_id']}", owner).status_code == 404


def test_serve_demo_prints_a_link_that_signs_in(database_url: str) -> None:
    with (
        data_directory() as data,
        serving(data, "--demo", HOC_DATABASE_URL=database_url) as server,
        httpx.Client(headers={"accept": "text/html"}, follow_redirects=True) as browser,
    ):
        [link] = [line.strip() for line in server.output if "/sign-in#" in line]
        assert link.startswith(f"{server.url}/sign-in#")
        form = browser.get(link).text
        token = form.split('name="csrf_token" value="')[1].split('"')[0]
        shown = browser.post(
            f"{server.url}/sign-in", data={"csrf_token": token, "code": link.partition("#")[2]}
        )
        assert (shown.status_code, "<h1>Members</h1>" in shown.text) == (200, True)


def test_the_mailbox_has_only_mail_of_pending_invitations(server: RunningServer) -> None:
    tenant = printed_json("demo", "--json", "--data-dir", server.data)
    listed = server.get("/accounts/invitations?status=pending", tenant["owner"]["token"]).json()
    pending = {invitation["id"]: invitation["email"] for invitation in listed["invitations"]}
    assert len(pending) >= 2

    def delivered() -> dict[str, str]:
        mails = printed_json("mailbox", "--json", "--data-dir", server.data)
        assert all(set(mail) == {"to", "subject", "invitation_id", "token", "link"} for mail in mails)
        return {m["invitation_id"]: m["to"] for m in mails if m["token"].startswith(tenant["tenant_id"])}

    wait_until(lambda: len(delivered()) >= len(pending))
    assert delivered() == pending
    [mail] = [
        mail
        for mail in printed_json("mailbox", "--json", "--data-dir", server.data)
        if mail["invitation_id"] == next(iter(pending))
    ]
    assert mail["link"].startswith(server.url)
    assert mail["token"] in mail["link"]
    assert mail["link"] in hoc("mailbox", "--data-dir", server.data).stdout


def test_an_empty_mailbox_is_empty(tmp_path: Path) -> None:
    assert printed_json("mailbox", "--json", "--data-dir", tmp_path) == []
    assert hoc("mailbox", "--data-dir", tmp_path).stdout == "No mail has been delivered here.\n"


def test_token_prints_a_token_that_the_server_accepts(server: RunningServer) -> None:
    tenant = printed_json("demo", "--json", "--data-dir", server.data)
    member = tenant["member"]
    printed = hoc(
        *("token", "--user-id", member["user_id"], "--tenant-id", tenant["tenant_id"]),
        *("--email", member["email"], "--scope", "accounts:read", "--scope", "accounts:write"),
        *("--data-dir", server.data),
    )
    assert printed.returncode == 0
    token = printed.stdout.removesuffix("\n")
    assert server.get("/accounts/profile", token).json()["user_id"] == member["user_id"]
    assert server.get("/accounts/profile", f"{token}x").status_code == 401
    assert server.get("/accounts/profile").status_code == 401


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"HOC_DEVELOPMENT": "false"}, "HOC_DEVELOPMENT is false"),
        ({"HOC_GATEWAY_SECRET": "s" * 40}, "caller authentication is configured"),
    ],
)
@pytest.mark.parametrize("command", [("token", "--user-id", "usr_1"), ("demo",)])
def test_outside_development_mode_no_token_is_issued(
    tmp_path: Path, variables: dict[str, str], why: str, command: tuple[str, ...]
) -> None:
    line, code = refusal(*command, "--data-dir", tmp_path, **variables)
    assert why in line
    assert code == 1
    assert list(tmp_path.iterdir()) == []


def test_without_development_mode_its_tokens_are_rejected(server: RunningServer, database_url: str) -> None:
    tenant = printed_json("demo", "--json", "--data-dir", server.data)
    with (
        data_directory() as data,
        serving(data, HOC_DATABASE_URL=database_url, HOC_DEVELOPMENT="false") as strict,
    ):
        (data / "development-key.pem").write_bytes((server.data / "development-key.pem").read_bytes())
        assert strict.get("/accounts/users", tenant["owner"]["token"]).status_code == 401
        assert not any("demo" in line for line in strict.output)


def test_two_workers_stop_with_their_parent(database_url: str) -> None:
    with (
        data_directory() as data,
        serving(data, "--workers", "2", HOC_DATABASE_URL=database_url) as running,
    ):
        workers = running.workers()
        assert len(workers) == 2
        assert running.stop() == 0
        assert [worker for worker in workers if command_of(worker)] == []
        assert not (data / "server.json").exists()
        assert not any("Traceback" in line for line in running.steps)


def test_workers_of_a_killed_parent_end_and_free_the_port(database_url: str) -> None:
    with (
        data_directory() as data,
        serving(data, "--workers", "2", HOC_DATABASE_URL=database_url) as running,
    ):
        workers = running.workers()
        running.stop(signal.SIGKILL)
        wait_until(lambda: not any(command_of(worker) for worker in workers))
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(running.url.rpartition(":")[2]))) != 0


def test_a_worker_that_dies_is_replaced(server: RunningServer) -> None:
    first, _ = before = server.workers()
    first.kill()
    wait_until(lambda: len(server.workers()) == 2 and server.workers() != before)
    wait_until(lambda: server.get("/health/ready").status_code == 200)


def test_a_taken_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line, code = refusal("serve", "--port", port, "--data-dir", tmp_path)
    assert f"Port {port} on 127.0.0.1 is taken" in line
    assert code == 1
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize(
    ("host", "variables"),
    [
        ("0.0.0.0", {}),
        ("::", {}),
        ("0.0.0.0", {"HOC_DEVELOPMENT": "true"}),
        ("0.0.0.0", {"HOC_DEVELOPMENT": "true", "HOC_GATEWAY_SECRET": "s" * 40}),
    ],
)
def test_development_mode_listens_on_loopback_only(
    tmp_path: Path, host: str, variables: dict[str, str]
) -> None:
    line, code = refusal("serve", "--host", host, "--port", "0", "--data-dir", tmp_path, **variables)
    assert "loopback only" in line
    assert code == 1
    assert list(tmp_path.iterdir()) == []


def test_caller_authentication_allows_any_address(database_url: str) -> None:
    with (
        data_directory() as data,
        serving(
            *(data, "--host", "0.0.0.0"),
            HOC_DATABASE_URL=database_url,
            HOC_GATEWAY_SECRET="s" * 40,
        ) as running,
    ):
        assert running.get("/health/ready").status_code == 200
        assert running.get("/accounts/users").status_code == 401


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HOC_POOL_SIZE": "secret-many"}, "HOC_POOL_SIZE"),
        ({"HOC_DEVELOPMENT": "secret-perhaps"}, "HOC_DEVELOPMENT"),
        ({"HOC_DATABASE_URL": "secret-nonsense"}, "HOC_DATABASE_URL"),
        ({"HOC_DATABASE_URL": "postgresql://u:secret@127.0.0.1:secret/x"}, "HOC_DATABASE_URL"),
        ({"HOC_DATABASE_URL": "mysql://u:secret@127.0.0.1/x"}, "HOC_DATABASE_URL"),
        ({"HOC_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"}, "x at 127.0.0.1:1 cannot be reached"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "migrate", "demo"])
def test_a_wrong_setting_is_named_without_its_value(
    tmp_path: Path, command: str, variables: dict[str, str], named: str
) -> None:
    port = ("--port", "0") if command == "serve" else ()
    line, code = refusal(command, *port, "--data-dir", tmp_path, **variables)
    assert named in line
    assert "secret" not in line
    assert code == 1


def test_a_setting_that_the_application_rejects_is_named(database_url: str, tmp_path: Path) -> None:
    line, code = refusal(
        *("serve", "--port", "0", "--workers", "2", "--data-dir", tmp_path),
        HOC_DATABASE_URL=database_url,
        HOC_SMTP_URL="http://user:secret@mail.example.com",
    )
    assert code == 1
    assert "smtp" in line.lower()
    assert "secret" not in line


def test_a_wrong_password_is_explained_in_one_line(database_url: str, tmp_path: Path) -> None:
    wrong = re.sub(":([^:@]+)@", ":secret@", database_url)
    line, code = refusal("demo", "--data-dir", tmp_path, HOC_DATABASE_URL=wrong)
    assert "password authentication failed" in line
    assert ":secret@" not in line
    assert code == 1


async def test_an_unmigrated_database_is_explained_and_migrated(
    fresh_database_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(fresh_database_url)
    try:
        await connection.execute("DROP SCHEMA account CASCADE")
    finally:
        await connection.close()
    arguments = ("--data-dir", tmp_path)
    line, code = refusal("demo", *arguments, HOC_DATABASE_URL=fresh_database_url)
    assert "hoc migrate" in line
    assert code == 1
    assert hoc("migrate", *arguments, HOC_DATABASE_URL=fresh_database_url).returncode == 0
    again = hoc("migrate", *arguments, HOC_DATABASE_URL=fresh_database_url)
    assert again.returncode == 0
    assert again.stdout.startswith("The database is at revision ")
    assert printed_json("demo", "--json", *arguments, HOC_DATABASE_URL=fresh_database_url)["tenant_id"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("serve", "--port", "70000"),
        ("serve", "--workers", "0"),
        ("serve", "--nonsense"),
        ("token",),
    ],
)
def test_a_wrong_call_is_explained_in_one_line(arguments: tuple[str, ...]) -> None:
    _, code = refusal(*arguments)
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("token", "--user-id", ""), "An identifier is text"),
        (("serve", "--host", "no.such.host.invalid"), "no such host"),
        (("serve", "--host", "192.0.2.1", "--port", "0"), "loopback only"),
    ],
)
def test_wrong_input_is_explained_in_one_line(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    line, code = refusal(*arguments, "--data-dir", tmp_path)
    assert why in line
    assert code == 1


def test_a_data_directory_that_is_a_file_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for command in ("serve", "demo", "mailbox"):
        assert refusal(command, "--data-dir", file)[1] == 2
    assert refusal("serve", "--port", "0", "--data-dir", file / "below")[1] == 1


def test_version_and_help_are_printed(tmp_path: Path) -> None:
    assert re.fullmatch(r"hoc \d+\.\d+\.\d+\n", hoc("--version").stdout)
    shown = hoc("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("serve", "migrate", "info", "demo", "token", "mailbox"))
    assert hoc("serve", "--help", HOC_DATA_DIR=str(tmp_path)).returncode == 0


def test_help_loads_no_database_and_no_server() -> None:
    code = """
        import json, sys
        import hoc.cli.commands
        heavy = {"sqlalchemy", "asyncpg", "alembic", "uvicorn", "starlette", "pydantic", "psutil"}
        print(json.dumps(sorted(heavy & set(sys.modules))))
    """
    assert json.loads(python(code)) == []


def test_without_the_extra_it_says_what_to_install() -> None:
    for missing in ("typer", "uvicorn", "platformdirs"):
        code = f"""
            import sys
            sys.modules[{missing!r}] = None
            sys.argv = ["hoc", "serve", "--data-dir", "/nonexistent/below"]
            import hoc.cli
            try:
                hoc.cli.main()
            except SystemExit as ended:
                print(ended.code)
        """
        assert (
            python(code)
            == f"hoc: {missing} is not installed. The command line needs it: install hoc-accounts[server]: "
            "pip install '.[server]' in a checkout of hoc\n"
        )


def python(code: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout
