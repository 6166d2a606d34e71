"""Follows README, tutorial and how-tos in a fresh copy of the checkout, as an ordinary user, in each shell.

`make newcomer` runs it. It prints the time of each step, and ends at the first that differs from its page.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy2, which
from socket import create_connection
from types import FrameType

from support.documents import ROOT, Block, blocks, compare, pages_with

SERVER = ("127.0.0.1", 8201)  # the pages name it
SHELLS = [shell for shell in ("bash", "dash", "zsh") if which(shell)]
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
NEXT = "===== next step ====="


def main() -> None:
    """Copy the checkout, and start over there as its user."""
    with tempfile.TemporaryDirectory(prefix="hoc-newcomer-", ignore_cleanup_errors=True) as home:
        _copy(Path(home) / "hoc")
        as_user: list[str] = []
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)
            as_user = NOBODY
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("HOC_", "MAKE"))
        }
        variables |= {"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "tests"}
        command = [*as_user, "python3", "-B", "-m", "support.newcomer", "follow"]
        sys.exit(subprocess.run(command, cwd=f"{home}/hoc", env=variables, check=False).returncode)


def _copy(target: Path) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for file in filter(None, listed.split("\0")):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / file, target / file)


def follow() -> None:
    """Do in the current directory what the pages say."""
    del os.environ["PYTHONPATH"]
    signal.signal(signal.SIGTERM, _stop)
    with _served():
        for shell in SHELLS:
            for page in pages_with("sh run"):
                _follow_shell(shell, page, blocks(ROOT / page, "sh run"))
        for page in pages_with("python run"):
            if "how-to" in page or page == "README.md":
                _follow_python(page)
    for shell in SHELLS:
        for page in pages_with("sh newcomer"):
            _follow_shell(shell, page, blocks(ROOT / page, "sh newcomer"))
    plain = [block for page in pages_with("sh") for block in blocks(ROOT / page, "sh")]
    left_out = [block for block in plain if block.code != "make serve\n"]
    _say(f"{len(left_out)} blocks are left out: they need servers of your own, or set them up")


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit("newcomer: stopped")  # an exception, so that the server stops too


@contextmanager
def _served() -> Generator[None]:
    try:
        create_connection(SERVER, timeout=1).close()
    except OSError:
        pass
    else:
        sys.exit("newcomer: another program listens on port 8201")
    started = time.monotonic()
    with subprocess.Popen(
        ["make", "serve"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            if not any("Ctrl-C" in line for line in process.stdout):
                sys.exit("newcomer: make serve ended before it was ready")
            _say_time("", "README.md", "make serve", started)
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
            process.wait(60)


def _follow_shell(shell: str, page: str, steps: list[Block]) -> None:
    """Run the blocks in one shell, and compare what each prints."""
    script = f"echo '{NEXT}'\n".join(step.code for step in steps) + f"echo '{NEXT}'\n"
    todo, printed, started = list(steps), "", time.monotonic()
    with subprocess.Popen(
        [shell, "-eu", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith(f"{NEXT}\n"):
                printed += line
                continue
            step = todo.pop(0)
            _say_time(shell, page, step.code, started)
            compare(step, printed + line.removesuffix(f"{NEXT}\n"))
            printed, started = "", time.monotonic()
    if process.returncode or todo:
        sys.exit(f"newcomer: {page}: {printed}\nfailed in:\n{todo[0].code if todo else ''}")


def _follow_python(page: str) -> None:
    """Run the page's Python blocks as one program."""
    started = time.monotonic()
    steps = blocks(ROOT / page, "python run")
    info, demo = (_json("info"), _json("demo"))
    given = os.environ | {
        "HOC_DATABASE_URL": info["database_url"],
        "HOC_NATS_URL": info["nats_url"],
        "TENANT_ID": demo["tenant_id"],
    }
    program = [".venv/bin/python", "-c", "\n".join(step.code for step in steps)]
    printed = subprocess.run(program, env=given, stdout=subprocess.PIPE, text=True, check=True).stdout
    for step in steps:
        compare(step, printed)
    _say_time("python", page, "its program", started)


def _json(command: str) -> dict[str, str]:
    done = subprocess.run([".venv/bin/hoc", command, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _say_time(shell: str, page: str, step: str, started: float) -> None:
    [first, *_] = step.strip().splitlines()
    _say(f"{time.monotonic() - started:7.1f} s  {shell:6}  {page:27}  {first[:80]}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program prints


if __name__ == "__main__":
    if sys.argv[1:] == ["follow"]:
        follow()
    else:
        main()
