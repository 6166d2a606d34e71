"""The numbers of PostgreSQL's advisory locks that hoc takes, so that no two uses share one."""

from enum import IntEnum


class AdvisoryLock(IntEnum):
    MIGRATION = 7_463_120_001
    HOUSEKEEPING = 7_463_120_002
    IMPORT = 7_463_120_003
    EVENT_PARTITIONS = 7_463_120_004
    SUBJECT = 7_463_121
    """The first of two numbers; the second is a hash. They are told apart from the single numbers."""
    RECIPIENT = 7_463_122
    """The first of two numbers, as of `SUBJECT`."""
    DIRECTORY = 7_463_123
    """As `RECIPIENT`. The next number is that of `hoc.database.statement_functions`."""
