"""The command line, `hoc`. It needs the extra `server`."""

import sys

from hoc.distribution import how_to_add


def main() -> None:
    """Run one command. The exit code is 1 when it was refused or failed, 2 when it was called wrongly."""
    try:
        # Imported here, so that a missing extra can be reported.
        from hoc.cli.commands import app  # noqa: PLC0415 - see above

        code: object = app(prog_name="hoc", standalone_mode=False)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "hoc":
            raise
        sys.exit(f"hoc: {missing.name} is not installed. The command line needs it: {how_to_add('server')}")
    except Exception as problem:
        from hoc.cli.errors import explain  # noqa: PLC0415 - costs time only when something is wrong

        message, exit_code = explain(problem)
        if message is None:
            raise
        print(f"hoc: {message}", file=sys.stderr)  # noqa: T201 - a command line prints
        sys.exit(exit_code)
    sys.exit(code if isinstance(code, int) else 0)
