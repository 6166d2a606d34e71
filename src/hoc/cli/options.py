"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="HOC_DATA_DIR",
        file_okay=False,
        show_default="the user's data directory",
        help="Directory of keys, development mail, and the embedded PostgreSQL and NATS.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
