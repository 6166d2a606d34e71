"""npm's verifiers of webhooks, in versions pinned by their hashes. `make conformity` prints what they say."""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from support.postgres import TestServer, TestServerOwner, opened
from support.receiver import Received, receiver
from support.tools import NODE, install_node, installed
from support.waiting import until
from support.webhook_sending import endpoint, happen, has, sending, webhook_world

PINS = Path(__file__).parents[2] / "requirements" / "webhook-verifiers"
PROGRAM = Path(__file__).with_suffix(".js")
DELIVERIES = 20


def verdicts(secret: str, requests: Sequence[Received]) -> list[list[str]]:
    """For each request the event's id, or the refusal, by `standardwebhooks` and by `svix`."""
    given = [{"secret": secret, "headers": each.headers, "body": each.body.decode()} for each in requests]
    modules = installed("webhook-verifiers", _files(), _install) / "node_modules"
    done = subprocess.run(
        [NODE, PROGRAM],
        input=json.dumps(given),
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    judged: list[list[str]] = json.loads(done.stdout)
    return judged


def _files() -> list[Path]:
    return [PINS / name for name in ("package.json", "package-lock.json")]


def _install(directory: Path) -> None:
    install_node(PINS, directory)


def main() -> None:
    owner = TestServerOwner()
    try:
        asyncio.run(_verify(owner.server()))
    finally:
        owner.stop()


async def _verify(server: TestServer) -> None:
    """Have both verify what is really delivered, and the same with another body."""
    async with server.new_database() as url, opened(url) as database:
        world = webhook_world(database)
        tenant_id, owner = await world.tenant()
        async with receiver() as taking, sending(database):
            made = await endpoint(world, tenant_id, owner, taking)
            await happen(world, tenant_id, range(1, DELIVERIES + 1))
            await until(lambda: has(DELIVERIES, taking))
    altered = [replace(each, body=each.body + b" ") for each in taking.requests]
    on_real, on_altered = verdicts(made.secret, taking.requests), verdicts(made.secret, altered)
    versions: dict[str, str] = json.loads((PINS / "package.json").read_text())["dependencies"]
    for number, (name, version) in enumerate(versions.items()):
        verified = sum(said[number] == its for said, its in zip(on_real, taking.ids, strict=True))
        refusals = Counter(said[number] for said in on_altered)
        print(f"{name} {version}: {verified} of {len(on_real)} deliveries verified; altered:", dict(refusals))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
