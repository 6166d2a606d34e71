"""The service that `hoc serve` runs, and that ``uvicorn --factory hoc.server:create_app`` runs too."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoc.server.app import Service


def create_app() -> "Service":
    """The service, configured from the environment. Raises ValueError for a wrong setting."""
    from hoc.server.app import create_app as create  # noqa: PLC0415 - hoc.server.mounted needs no extra

    return create()
