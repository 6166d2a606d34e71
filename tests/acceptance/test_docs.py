"""The documentation is true: its code runs, its tables are complete, its links lead to files."""

import ast
import inspect
import re
import subprocess
from collections.abc import AsyncGenerator, Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from shutil import which
from typing import Any, get_type_hints

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from support.command_line import RunningServer, environment, printed_json, serving
from support.documents import PAGES, ROOT, blocks, first_column, name_of, pages_with, run_python, run_shell
from support.postgres import TestServer
from support.waiting import until

from hoc.cus.account.L2_api import problems
from hoc.cus.account.L2_api.console import CONSOLE_OPERATIONS
from hoc.cus.account.L2_api.deployment_webhooks import DEPLOYMENT_WEBHOOKS
from hoc.cus.account.L2_api.feed import FEED_OPERATIONS
from hoc.cus.account.L2_api.identity import IDENTITY_OPERATIONS
from hoc.cus.account.L2_api.subject_rights import SUBJECT_RIGHTS_OPERATIONS
from hoc.cus.account.L2_api.support_desk import SUPPORT_DESK_OPERATIONS
from hoc.cus.account.L2_api.tenants import TENANT_OPERATIONS
from hoc.cus.account.L5_engines.account_service import AccountRepositoryProtocol, AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.provider_statuses import INVOICE_STATUSES, SUBSCRIPTION_STATUSES
from hoc.cus.account.L5_schemas import errors, identity
from hoc.cus.account.L5_schemas.errors import AccountsError
from hoc.cus.account.L5_schemas.values import UNSET, InvoiceStatus, SubscriptionStatus
from hoc.events.billing import INBOUND
from hoc.settings import Settings

REFERENCE = ROOT / "docs" / "reference"
OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "bench" / "README.md"]
SHELL_BLOCKS = "sh", "sh run", "sh newcomer"
# `${EMAIL,,}`, `$'\n'` and `[[` are read by others too, which then do something else.
BASH_ALONE = re.compile(r"\$\{\w+[,^]|\$'|\[\[")
# The shell that knows least. `make newcomer` runs the pages in each that is installed.
SHELL = next(shell for shell in ("dash", "bash", "zsh") if which(shell))


@pytest.fixture(scope="module")
async def database_of_readers(postgres_server: TestServer) -> AsyncGenerator[str]:
    """Its own database: the server that is started here delivers every mail queued in it."""
    async with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def server(database_of_readers: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `make serve` starts, without the embedded PostgreSQL, which has its own tests."""
    data = tmp_path_factory.mktemp("docs") / "data"
    with serving(data, HOC_DATABASE_URL=database_of_readers) as running:
        yield running


@pytest.fixture(scope="module")
def tenant_id(server: RunningServer) -> str:
    return str(printed_json("demo", "--json", "--data-dir", server.data)["tenant_id"])


@pytest.fixture(scope="module")
async def nats_url(server: RunningServer) -> str:
    """The server's NATS, when the streams exist that hoc makes: readers start later than a test."""
    url = str(printed_json("info", "--json", "--data-dir", server.data)["nats_url"])
    client: Any = Client()  # nats-py has only some types
    await client.connect(url)
    await until(lambda: _has_streams(client.jetstream()))
    await client.close()
    return url


async def _has_streams(jetstream: JetStreamContext) -> bool:
    """Whether there is one for hoc's own events, and one for those that hoc receives."""
    found = [stream.config for stream in await jetstream.streams_info()]
    carried = {subject for config in found for subject in config.subjects or ()}
    is_made = any(config.name == "ACCOUNTS" for config in found)
    return is_made and carried.issuperset(model.subject for model in INBOUND)


@pytest.mark.parametrize("page", pages_with("sh run"))
def test_shell_blocks_run_and_print_what_is_shown(page: str, server: RunningServer, tmp_path: Path) -> None:
    run_shell(SHELL, ROOT / page, server.url, tmp_path, environment(HOC_DATA_DIR=str(server.data)))


@pytest.mark.parametrize("shell", [shell for shell in ("dash", "bash", "zsh") if which(shell)])
def test_every_shell_block_is_read_by_every_shell(shell: str) -> None:
    """Also those that no test runs. With `-n`, a shell reads and does nothing."""
    for page in (*PAGES, *OTHER_PAGES):
        for code in [block.code for info in SHELL_BLOCKS for block in blocks(page, info)]:
            read = subprocess.run([shell, "-n"], input=code, capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, ""), f"{page}: {code}"
            assert not BASH_ALONE.search(code), f"{page}: {code}"


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_shell_blocks_have_no_comments(page: Path) -> None:
    """A pasted comment is arguments to an interactive zsh."""
    for info in SHELL_BLOCKS:
        assert [block.code for block in blocks(page, info) if re.search(r"(^|\s)#", block.code)] == []


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_every_page_first_says_whom_it_is_for(page: Path) -> None:
    assert re.match(r"# [^\n]+\n\n(hoc|This \w+) is for \w", page.read_text())


@pytest.mark.parametrize("page", pages_with("python run"))
def test_python_blocks_run_and_print_what_is_shown(
    page: str, tenant_id: str, database_of_readers: str, nats_url: str, tmp_path: Path
) -> None:
    given = environment(
        HOC_DATABASE_URL=database_of_readers,
        HOC_NATS_URL=nats_url,
        HOC_DATA_DIR=str(tmp_path),
        TENANT_ID=tenant_id,
    )
    run_python(ROOT / page, tmp_path, given)


def test_python_blocks_that_are_not_run_are_python_and_few() -> None:
    kept = [block for page in PAGES for block in blocks(page, "python")]
    for block in kept:
        ast.parse(block.code.replace("=…", "=None"))
    assert len(kept) <= 1


def test_every_providers_status_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "how-to" / "billing.md").read_text()
    subscriptions, _, invoices = page.partition("## Statuses")[2].partition("| An invoice that is")
    for section, mapped, own in (
        (subscriptions, SUBSCRIPTION_STATUSES, SubscriptionStatus),
        (invoices, INVOICE_STATUSES, InvoiceStatus),
    ):
        rows = re.findall(r"^\| (`[^|]+) \| `(\w+)`", section, re.MULTILINE)
        shown = [(status, stored) for given, stored in rows for status in re.findall(r"`(\w+)`", given)]
        assert len(shown) == len(dict(shown))
        assert dict(shown) == {**mapped, **{status.value: status for status in own}}


def test_every_route_is_documented_and_no_other() -> None:
    """Each row has the route's success statuses, and its errors."""
    mounts = {
        "": CONSOLE_OPERATIONS,
        "/api/v1": [
            *IDENTITY_OPERATIONS,
            *TENANT_OPERATIONS,
            *SUBJECT_RIGHTS_OPERATIONS,
            *SUPPORT_DESK_OPERATIONS,
            *FEED_OPERATIONS,
            *DEPLOYMENT_WEBHOOKS,
        ],
    }
    operations = [(mount, operation) for mount, served in mounts.items() for operation in served]
    page = (REFERENCE / "http.md").read_text()
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| [^|]+ \| ([^|]+) \|(.*)\|$", page, re.MULTILINE)
    assert [(method, path, _statuses(successes)) for method, path, successes, _ in rows] == [
        (operation.method, mount + operation.path, set(operation.successes))
        for mount, operation in operations
    ]
    for (*_, errors_of_row), (_, operation) in zip(rows, operations, strict=True):
        assert _statuses(errors_of_row).issuperset(operation.errors), operation.name


def _statuses(cell: str) -> set[int]:
    return {int(status) for status in re.findall(r"\b\d{3}\b", cell)}


def test_every_setting_is_documented_with_its_default() -> None:
    page = (REFERENCE / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `(HOC_\w+)` \| `?([^|`]+)`? \|", page, re.MULTILINE))
    assert documented == {
        f"HOC_{name.upper()}": _shown(field.default) for name, field in Settings.model_fields.items()
    }


def _shown(default: object) -> str:
    return "unset" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def test_every_error_code_is_documented_and_no_other() -> None:
    assert set(first_column(REFERENCE / "errors.md")) == _codes_in_use()


def _codes_in_use() -> set[str]:
    """The codes of error classes, of literals given as ``code``, and of errors that only HTTP has."""
    classes = {
        kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, AccountsError)
    }
    codes = {kind.code for kind in classes - {AccountsError}} | set(vars(problems)["_CODES"].values())
    for source in (ROOT / "src" / "hoc").rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call))
        for call in calls:
            given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
            if isinstance(call.func, ast.Name) and call.func.id == "problem":
                given += call.args[2:3]
            codes |= {value.value for value in given if isinstance(value, ast.Constant)}
    return codes


def test_every_method_of_facade_and_engines_is_documented() -> None:
    documented = re.findall(r"^- `([^`]+)`", (REFERENCE / "facade.md").read_text(), re.MULTILINE)
    expected = [_signature("", method) for method in _public_methods(AccountsFacade)]
    for attribute, engine in get_type_hints(Engines).items():
        expected += [_signature(f"{attribute}.", method) for method in _public_methods(engine)]
    assert documented == expected


def test_the_account_service_is_documented_in_full() -> None:
    """Its methods, its repository's methods, and its models."""
    page = (REFERENCE / "account-service.md").read_text()
    expected = [_signature("", method) for method in _public_methods(AccountService)]
    expected += [_signature("", method) for method in _public_methods(AccountRepositoryProtocol)]
    assert re.findall(r"^- `([^`]+)`", page, re.MULTILINE) == expected

    rows = re.findall(r"^\| `(\w+(?:Request|Response|Params|Filter))` \| (.*) \|$", page, re.MULTILINE)
    assert {name: cells.replace("`", "") for name, cells in rows} == {
        kind.__name__: ", ".join(_field(field) for field in fields(kind))
        for kind in vars(identity).values()
        if inspect.isclass(kind) and is_dataclass(kind) and kind.__module__ == identity.__name__
    }


def _field(field: Field[Any]) -> str:
    return field.name if field.default is MISSING else f"{field.name}={field.default}"


def _public_methods(kind: type) -> list[Callable[..., object]]:
    return [member for name, member in vars(kind).items() if not name.startswith("_")]


def _signature(prefix: str, method: Callable[..., object]) -> str:
    """The method without self and annotations: `name(session, *, limit=50)`."""
    parts: list[str] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        default = parameter.default
        shown = str(default) if isinstance(default, int | None) else f"'{default}'"
        shown = "UNSET" if default is UNSET else shown
        parts.append(stars + parameter.name + ("" if default is parameter.empty else f"={shown}"))
    return f"{prefix}{method.__name__}({', '.join(parts)})"


def test_every_command_is_documented(server: RunningServer) -> None:
    from hoc.cli.commands import app

    page = (REFERENCE / "cli.md").read_text()
    documented = set(re.findall(r"^(?:## |\| `)hoc (\w+(?: [a-z]+)?)", page, re.MULTILINE))
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    assert documented == {
        *(command.name for command in app.registered_commands),
        *groups,
        *(
            f"{name} {each.name}"
            for name, group in groups.items()
            if group
            for each in group.registered_commands
        ),
    }
    assert set(printed_json("info", "--json", "--data-dir", server.data)) == {
        "http",
        "database_url",
        "nats_url",
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    local = [target for target in targets if not target.startswith("https://")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", index.read_text())
    }
    assert set(PAGES) - linked <= {index, ROOT / "README.md"}
