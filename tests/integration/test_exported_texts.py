"""Texts that spreadsheets may run as formulas, exported as CSV by PostgreSQL and read again."""

import csv
import io
import operator
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from hoc.bulk.account_rows import COLUMNS, REQUIRED
from hoc.bulk.files import Record, Rows
from hoc.cus.account.L6_drivers.bulk_accounts import copy_accounts
from hoc.cus.account.L6_drivers.tables import users
from hoc.database import Database

SPECIAL = "'\"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20\\$,; a"
RUNS = re.compile("[\"']*[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]")

beginnings = st.text(st.sampled_from(SPECIAL), min_size=1, max_size=4)
endings = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=250)
texts = st.builds(operator.add, beginnings, endings)


async def exported(database: Database, given: list[str], *, raw: bool) -> bytes:
    """The CSV file of accounts that have these texts."""
    rows = [
        {
            "user_id": str(number),
            "email": f"{number}@example.com",
            "email_key": str(number),
            "name": text,
        }
        for number, text in enumerate(given)
    ]
    output = io.BytesIO()
    async with database.engine.connect() as session:
        await session.execute(insert(users), rows)
        await copy_accounts(session, output, as_json=False, include_inactive=True, raw=raw)
        await session.rollback()
    return output.getvalue()


@pytest.mark.parametrize("raw", [False, True])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(given=st.lists(texts, min_size=1, max_size=20))
async def test_every_exported_text_is_read_again_exactly(
    fresh_database: Database, given: list[str], raw: bool
) -> None:
    file = await exported(fresh_database, given, raw=raw)
    rows = Rows(io.BufferedReader(io.BytesIO(file)), "-.csv", required=REQUIRED, known=COLUMNS)
    records = [row for row in rows if isinstance(row, Record)]
    found = {int(row.values["user_id"]): row.values["name"] for row in records}
    assert found == dict(enumerate(given))

    cells = list(csv.DictReader(io.StringIO(file.decode(), newline="")))
    for cell in cells:
        text = given[int(cell["user_id"])]
        expected = f"'{text}" if RUNS.match(text) and (not raw or text.startswith("'")) else text
        assert cell["name"] == expected
