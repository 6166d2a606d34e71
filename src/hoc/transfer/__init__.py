"""Accounts from and to files, CSV with a header or JSON lines."""

from hoc.transfer.exporting import export_accounts
from hoc.transfer.files import FileError, Rejection, Rows, file_format
from hoc.transfer.importing import Imported, import_accounts

__all__ = [
    "FileError",
    "Imported",
    "Rejection",
    "Rows",
    "export_accounts",
    "file_format",
    "import_accounts",
]
