"""PostgreSQL: connections, transactions, single statements, outages, migrations. Knows no domain."""

from hoc.database.connecting import NotConnectedError, PasswordSource
from hoc.database.connections import Database
from hoc.database.engine import create_engine
from hoc.database.outages import ErrorTranslator, sqlstate, translated_errors
from hoc.database.pooler import Pooler
from hoc.database.reads import Reads
from hoc.database.replica import Replica

__all__ = [
    "Database",
    "ErrorTranslator",
    "NotConnectedError",
    "PasswordSource",
    "Pooler",
    "Reads",
    "Replica",
    "create_engine",
    "sqlstate",
    "translated_errors",
]
