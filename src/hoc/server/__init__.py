"""The service that `hoc serve` runs, and that ``uvicorn --factory hoc.server:create_app`` runs too."""

from hoc.server.app import Service, create_app

__all__ = ["Service", "create_app"]
