"""The data directory, and the PostgreSQL and NATS that `hoc serve` starts when none is configured."""

from hoc.embedded.data_directory import (
    DataDirectory,
    DataDirectoryError,
    DataDirectoryInUseError,
    ServerState,
)
from hoc.embedded.nats import EmbeddedNats
from hoc.embedded.postgres import EmbeddedPostgres
from hoc.embedded.service import EmbeddedService, EmbeddedServiceError

__all__ = [
    "DataDirectory",
    "DataDirectoryError",
    "DataDirectoryInUseError",
    "EmbeddedNats",
    "EmbeddedPostgres",
    "EmbeddedService",
    "EmbeddedServiceError",
    "ServerState",
]
