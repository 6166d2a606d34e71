"""Runs the Dockerfile's steps in the virtual environment of the interpreter that runs this: an empty one."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_FILES = {"FROM", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


def steps() -> list[tuple[str, str]]:
    """Each instruction and its arguments, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found = [line.partition(" ") for line in text.splitlines() if line]
    return [(instruction, arguments.strip()) for instruction, _, arguments in found]


def run(root: Path) -> None:
    """Run the steps that change files, with `root` as the image's root. Raises CalledProcessError."""
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for instruction, arguments in steps():
        if instruction == "COPY":
            *sources, target = arguments.split()
            place = root / target.lstrip("/")
            place.mkdir(parents=True)
            for source in [file for pattern in sources for file in ROOT.glob(pattern)]:
                shutil.copy(source, place)
        elif instruction == "RUN" and not arguments.startswith("useradd "):  # that would change this machine
            command = arguments.replace("/tmp/", f"{root}/tmp/")
            subprocess.run(["sh", "-euxc", command], cwd=root, env=variables, check=True)
        elif instruction != "RUN" and instruction not in WITHOUT_FILES:
            sys.exit(f"Dockerfile: tests/support/image.py does not know how to run {instruction}.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        run(Path(name))
