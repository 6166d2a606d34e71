"""What an import says of files that are not as it wants them."""

import io
from typing import cast

import pytest

from hoc.bulk.account_rows import COLUMNS, REQUIRED
from hoc.bulk.files import FileError, Record, Rejection, Rows

HEADER = "user_id,email,name\n"
GOOD = "".join(f"u{number},u{number}@example.com,Ada\n" for number in range(50))
JSON = '{"user_id": "a", "email": "a@example.com", "name": "A"}'


def read(content: bytes | str, name: str = "accounts.csv") -> list[Record | Rejection]:
    raw = content.encode() if isinstance(content, str) else content
    file = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(raw)))
    return list(Rows(file, name, required=REQUIRED, known=COLUMNS))


def refusal(content: bytes | str, name: str = "accounts.csv") -> str:
    with pytest.raises(FileError) as refused:
        read(content, name)
    return str(refused.value)


def ids(rows: list[Record | Rejection]) -> list[str]:
    return [row.values["user_id"] for row in rows if isinstance(row, Record)]


def test_a_quote_that_is_never_closed_names_its_lines() -> None:
    [rejection] = read(f'{HEADER}q1,q1@example.com,"Bob\n{GOOD}')
    assert str(rejection) == (
        "line 2: a quote that opens here is never closed; a quote makes lines 2 to 52 one row"
    )
    assert isinstance(rejection, Rejection)
    assert rejection.lines == 51


def test_a_quote_that_is_closed_too_late_names_its_lines() -> None:
    text = f'{HEADER}a,a@example.com,A\nq1,q1@example.com,"Bob\n{GOOD}q,q@example.com,"Bo"\nz,z@e.com,Z\n'
    good, rejection, last = read(text)
    assert isinstance(rejection, Rejection)
    assert (rejection.line, rejection.last_line, rejection.lines) == (3, 54, 52)
    assert ids([good, last]) == ["a", "z"]


def test_a_row_of_two_lines_stays_one_row() -> None:
    [record] = read('user_id,email,name,preferences\na,a@example.com,A,"{""a"":\n1}"\n')
    assert isinstance(record, Record)
    assert (record.line, record.last_line, record.values["preferences"]) == (2, 3, '{"a":\n1}')


@pytest.mark.parametrize("array", [f"[{JSON}, {JSON}]", f"[\n{JSON},\n{JSON}\n]\n", f"\n  [{JSON}]", "[]"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "-"])
def test_a_json_array_is_refused_whole(array: str, name: str) -> None:
    assert "is a JSON array, but JSON lines are needed" in refusal(array, name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(("text", "name"), [(HEADER + GOOD, "a.csv"), (JSON, "a.jsonl"), (JSON, "-")])
def test_another_encoding_is_named(text: str, name: str, encoding: str) -> None:
    expected = "UTF-32" if encoding == "utf-32" else "UTF-16"
    assert refusal(text.encode(encoding), name) == f"is in {expected}: save it as UTF-8"


def test_windows_1252_is_named_for_its_rows() -> None:
    csv = read((HEADER + "a,a@example.com,Jürgen\nb,b@example.com,Bea\n").encode("cp1252"))
    jsonl = read(f"{JSON}\n{JSON.replace('A', 'Jürgen')}\n".encode("cp1252"), "a.jsonl")
    for rows, line in ((csv, 2), (jsonl, 2)):
        [rejection] = [row for row in rows if isinstance(row, Rejection)]
        assert rejection.line == line
        assert "perhaps in Windows-1252: save the file as UTF-8" in rejection.reason
    assert "Windows-1252" in refusal("user_id,email,name,größe\n".encode("cp1252"))


@pytest.mark.parametrize(("separator", "named"), [(";", "(;)"), ("\t", "tabs"), ("|", "(|)")])
def test_another_separator_is_named(separator: str, named: str) -> None:
    assert named in refusal((HEADER + GOOD).replace(",", separator))
    assert named in refusal(f'"user_id"{separator}"email"{separator}"name"\n')


def test_a_missing_header_is_named_without_quoting_the_row() -> None:
    said = refusal(GOOD)
    assert "the header is missing" in said
    assert "user_id, email, name" in said
    assert "u0" not in said


def test_a_header_that_is_not_csv_is_refused() -> None:
    assert refusal('user_id,email,name,"pre\n').startswith("line 1: the header is not CSV")


def test_a_row_of_too_many_values_is_rejected_alone() -> None:
    wrong, right = read(f"{HEADER}a,a@example.com,Lovelace, Ada\nb,b@example.com,Bea\n")
    assert str(wrong) == "line 2: has 4 values for 3 columns"
    assert ids([right]) == ["b"]


@pytest.mark.parametrize("content", ["", "\n\n", ",,\n", "\ufeff"])
def test_an_empty_file_is_refused(content: str) -> None:
    assert refusal(content).startswith("is empty")


def test_an_export_of_no_accounts_is_taken() -> None:
    assert read(HEADER) == []
    assert read("", "accounts.jsonl") == []


def test_a_header_is_compared_trimmed_and_folded() -> None:
    assert ids(read(f" User_ID ,EMAIL,\tname\r\n{GOOD}")) == ids(read(HEADER + GOOD))


def test_rows_of_commas_alone_are_skipped() -> None:
    assert ids(read(f"{HEADER},,\n , ,\n\n{GOOD},,,,\n")) == ids(read(HEADER + GOOD))


def test_line_ends_of_old_macs_are_line_ends() -> None:
    text = HEADER + GOOD
    assert read(text.replace("\n", "\r")) == read(text)
    assert read(text.replace("\n", "\r\n")) == read(text)
    assert ids(read(f"{JSON}\r{JSON}\r", "a.jsonl")) == ["a", "a"]
