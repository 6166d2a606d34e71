"""PostgreSQL: connections, transactions, single statements, outages, migrations. Knows no domain."""

from hoc.database.connections import Database, create_engine, sqlalchemy_url
from hoc.database.outages import ErrorTranslator, sqlstate, translated_errors

__all__ = [
    "Database",
    "ErrorTranslator",
    "create_engine",
    "sqlalchemy_url",
    "sqlstate",
    "translated_errors",
]
