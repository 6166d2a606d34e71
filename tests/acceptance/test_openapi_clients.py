"""The OpenAPI documents that a running server gives satisfy linters, and generated clients call it."""

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.openapi_tools import NODE, node_tools, python_tools, run
from support.servers import development_keys, server_process
from support.world import PostgresWorld, RealClock

from hoc.cus.account.wiring import open_database

CLIENTS = Path(__file__).parent / "clients"
MOUNTS = {"console": "/accounts", "identity": "/api/v1"}
EXPECTED = {
    "renamed": None,
    "stale": "stale_version",
    "invited": "viewer",
    "owners": 1,
    "tokens": 1_000_000,
    "role": "viewer",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A running server, with a file of each of its documents in ``directory``.

    ``arguments`` of a client: URL, tokens of an administrator and of a tenant's owner, a member, the tenant.
    """

    directory: Path
    arguments: tuple[str, ...]

    def document(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def workplace(self, name: str) -> Path:
        """An empty directory with the documents and node's tools."""
        place = self.directory / name
        place.mkdir()
        for document in MOUNTS:
            shutil.copy(self.document(document), place)
        (place / "node_modules").symlink_to(node_tools() / "node_modules")
        return place


@pytest.fixture(scope="module")
async def people(database_url: str) -> tuple[str, str, str]:
    """A tenant, its owner, and a member."""
    database = open_database(database_url)
    world = PostgresWorld(database, RealClock())
    tenant_id, owner = await world.tenant()
    member = await world.join(tenant_id, owner)
    await database.close()
    return tenant_id, owner, member


@pytest.fixture(scope="module")
def scene(
    database_url: str, people: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Scene]:
    directory = tmp_path_factory.mktemp("clients")
    tenant_id, owner, member = people
    with server_process(database_url, directory / "data") as server:
        for name, mount in MOUNTS.items():
            document = httpx.get(f"{server.url}{mount}/openapi.json").content
            (directory / f"{name}.json").write_bytes(document)
        keys = development_keys(directory / "data")
        admin = keys.issue("service", None, scopes=("accounts:admin",))
        arguments = (server.url, admin, keys.issue(owner, tenant_id), member, tenant_id)
        yield Scene(directory, arguments)


def node(tool: str, *arguments: str, at: Path, **environment: str) -> str:
    return run(NODE, Path("node_modules") / ".bin" / tool, *arguments, cwd=at, **environment)


def test_redocly_finds_nothing_to_object_to(scene: Scene) -> None:
    place = scene.workplace("redocly")
    (place / "redocly.yaml").write_text("extends: [recommended]\ntelemetry: off\n")
    documents = [f"{name}.json" for name in MOUNTS]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    report = node("redocly", "lint", "--format=json", *documents, at=place, **quiet)
    assert report.count('"problems": []') == len(MOUNTS), report


def test_spectral_finds_nothing_to_object_to(scene: Scene) -> None:
    place = scene.workplace("spectral")
    (place / "rules.yaml").write_text("extends: [spectral:oas]\n")
    documents = [f"{name}.json" for name in MOUNTS]
    node("spectral", "lint", "--ruleset=rules.yaml", "--fail-severity=hint", *documents, at=place)


def test_a_client_in_typescript_calls_the_server(scene: Scene) -> None:
    place = scene.workplace("typescript")
    (place / "package.json").write_text('{"type": "module"}')
    shutil.copy(CLIENTS / "client.ts", place)
    for name in MOUNTS:
        node("openapi-typescript", f"{name}.json", "--output", f"{name}.ts", at=place)
    options = ("--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    node("tsc", *options, "--noEmit", "--allowImportingTsExtensions", "--skipLibCheck", "client.ts", at=place)
    printed = run(NODE, "client.ts", *scene.arguments, cwd=place)
    assert json.loads(printed.splitlines()[-1]) == EXPECTED | {"renamed": "Theresa"}


def test_a_client_in_python_calls_the_server(scene: Scene) -> None:
    place = scene.directory / "python"
    place.mkdir()
    tools = python_tools() / "bin"
    for name in MOUNTS:
        generate = ("generate", "--path", str(scene.document(name)), "--output-path", name)
        run(tools / "openapi-python-client", *generate, "--fail-on-warning", cwd=place, PATH=f"{tools}:/bin")
    program = CLIENTS / "client.py"
    printed = run(tools / "python", program, *scene.arguments, cwd=place, PYTHONPATH="console:identity")
    assert json.loads(printed.splitlines()[-1]) == EXPECTED | {"renamed": "Philippa"}


def test_types_for_go_have_their_widths_and_words(scene: Scene) -> None:
    """There is no Go here that could compile them."""
    place = scene.workplace("go")
    document = json.loads(scene.document("console").read_text())
    text = json.dumps(document["components"]["schemas"]).replace("#/components/schemas/", "#/definitions/")
    names = document["components"]["schemas"]
    properties = {name: {"$ref": f"#/definitions/{name}"} for name in names}
    schema = {"definitions": json.loads(text), "type": "object", "properties": properties}
    (place / "schema.json").write_text(json.dumps(schema))
    arguments = ("--src-lang=schema", "--lang=go", "--package=hoc", "--top-level=Document", "--out=hoc.go")
    node("quicktype", *arguments, "schema.json", at=place)
    types = " ".join((place / "hoc.go").read_text().split())
    for expected in (
        "type Role string",
        'Viewer Role = "viewer"',
        "AmountCents int64",
        "MaxTokensPerMonth int64",
        "CreatedAt time.Time",
        "NextCursor *string",
    ):
        assert expected in types
