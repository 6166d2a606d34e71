"""Services that `hoc serve` brings along when none is configured, and the data directory they live in."""

from hoc.embedded.data_directory import (
    DataDirectory,
    DataDirectoryError,
    DataDirectoryInUseError,
    ServerState,
)
from hoc.embedded.nats import EmbeddedNats
from hoc.embedded.postgres import EmbeddedPostgres
from hoc.embedded.service import EmbeddedServiceError

__all__ = [
    "DataDirectory",
    "DataDirectoryError",
    "DataDirectoryInUseError",
    "EmbeddedNats",
    "EmbeddedPostgres",
    "EmbeddedServiceError",
    "ServerState",
]
