"""npm's verifiers of webhooks, in versions pinned by their hashes."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.receiver import Received
from support.tools import NODE, install_node, installed

PINS = Path(__file__).parents[2] / "requirements" / "webhook-verifiers"
PROGRAM = Path(__file__).with_suffix(".js")


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
