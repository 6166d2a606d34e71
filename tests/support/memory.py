"""A directory in memory for a run's files: on a disk, making a database costs more than using it."""

import os
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Final

import psutil

_MEMORY: Final = Path("/dev/shm")
_NEEDED_BYTES: Final = 6 * 2**30
_VARIABLE: Final = "TMPDIR"
_LAST: Final = -200  # multiprocessing removes its own files at -100


def keep_files_in_memory() -> None:
    """Have temporary files be in memory until this process ends, if it has room and ``TMPDIR`` is not set."""
    if _VARIABLE in os.environ or not _has_room():
        return
    directory = Path(tempfile.mkdtemp(prefix="hoc-tests-", dir=_MEMORY))
    directory.chmod(0o711)  # for the user that runs PostgreSQL for root
    os.environ[_VARIABLE] = tempfile.tempdir = str(directory)
    Finalize(None, shutil.rmtree, args=(directory, True), exitpriority=_LAST)


def _has_room() -> bool:
    """Container engines give 64 MB by default, or let no program run from there."""
    return (
        os.access(_MEMORY, os.W_OK)
        and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        and min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) >= _NEEDED_BYTES
    )
