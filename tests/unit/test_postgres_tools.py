"""What a restore runs is SQL that each supported PostgreSQL takes."""

from io import BytesIO

from hoc.embedded.postgres_tools import copy_portably

SETTING = b"SET transaction_timeout = 0;\n"
HEADER = b"SET lock_timeout = 0;\n"
ROWS = b"COPY account.notes (text) FROM stdin;\n" + SETTING + b"\\.\n"


def test_a_setting_that_postgresql_15_lacks_is_set_if_known() -> None:
    """The same words further down are somebody's data."""
    run = BytesIO()
    copy_portably(BytesIO(HEADER + SETTING + ROWS), run)
    [first, instead, *rows] = run.getvalue().splitlines(keepends=True)
    assert (first, b"".join(rows)) == (HEADER, ROWS)
    assert b"FROM pg_settings WHERE name = 'transaction_timeout'" in instead
