"""The command line, `hoc`. It needs the extra `server`."""

import sys
from contextlib import suppress

from hoc.distribution import how_to_add


def main() -> None:
    """Run one command. The exit code is 1 when it was refused or failed, 2 when it was called wrongly."""
    try:
        # Imported here, so that a missing extra can be reported.
        from hoc.cli.commands import app  # noqa: PLC0415 - see above
        from hoc.cli.output import guard_standard_output  # noqa: PLC0415 - see above

        guard_standard_output()
        code: object = app(prog_name="hoc", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "hoc":
            raise
        sys.exit(f"hoc: {missing.name} is not installed. The command line needs it: {how_to_add('server')}")
    except Exception as problem:
        from hoc.cli.errors import OutputError, explain  # noqa: PLC0415 - costs time only when something is wrong

        message, exit_code = explain(problem)
        if message is None:
            raise
        if isinstance(problem, OutputError):
            from hoc.cli.output import discard_standard_output  # noqa: PLC0415 - see above

            discard_standard_output()
        if message:
            with suppress(OSError):  # nobody can be told
                print(f"hoc: {message}", file=sys.stderr)  # noqa: T201 - a command line prints
        sys.exit(exit_code)
    sys.exit(code if isinstance(code, int) else 0)
