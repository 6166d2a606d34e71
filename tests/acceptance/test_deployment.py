"""The files for deployment are valid, and say nothing that hoc does not know."""

import json
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from shutil import which

from support.documents import ROOT
from support.image import steps

from hoc.settings import Settings

PROGRAMS = Path(sys.executable).parent
COMPOSE = (ROOT / "compose.yaml").read_text()
DEPLOY = (ROOT / "docs" / "how-to" / "deploy.md").read_text()


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    checked(PROGRAMS / "hadolint", "--no-color", "--failure-threshold", "info", "Dockerfile")


def test_the_compose_file_has_the_published_schema() -> None:
    checked(
        PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "--no-cache", "compose.yaml"
    )


def test_the_compose_file_names_settings_and_services_that_exist() -> None:
    known = {f"HOC_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^ +(HOC_\w+):", COMPOSE, re.MULTILINE)) <= known
    services = set(re.findall(r"^  ([\w-]+):$", COMPOSE.partition("\nservices:\n")[2], re.MULTILINE))
    depended_on = set(re.findall(r"^    +(\w+): \{ condition", COMPOSE, re.MULTILINE))
    assert depended_on | {"hoc-1", "hoc-2", "relay"} <= services


def test_the_env_file_of_the_page_has_each_variable() -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?\}", COMPOSE))
    assert wanted == set(re.findall(r"^(\w+)=", DEPLOY, re.MULTILINE))


def test_the_unit_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "hoc.service").read_text()
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[method-assign,assignment]  # options of units have capitals
    parsed.read_string(text)
    program, *_ = shlex.split(parsed["Service"]["ExecStart"])
    if which("systemd-analyze"):
        unit = tmp_path / "hoc.service"
        unit.write_text(text.replace(program, str(PROGRAMS / "hoc")))
        command = ["systemd-analyze", "verify", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert [line for line in done.stderr.splitlines() if "hoc.service" in line] == []  # an unknown key


def test_commands_of_image_compose_file_and_unit_exist() -> None:
    [image] = [json.loads(arguments) for instruction, arguments in steps() if instruction == "CMD"]
    composed = [json.loads(found) for found in re.findall(r"command: (\[\"[a-z].*\])", COMPOSE)]
    [unit] = re.findall(r"^ExecStart=\S+ (.*)$", (ROOT / "deploy" / "hoc.service").read_text(), re.MULTILINE)
    commands = [image, *composed, shlex.split(unit)]
    assert {command[0] for command in commands} == {"serve", "migrate", "relay"}
    for command, *options in commands:
        shown = subprocess.run(
            [PROGRAMS / "hoc", command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert all(option in shown for option in options if option.startswith("--"))
