"""Input that breaks servers which trust it, and a check of the answers."""

from typing import Any

import httpx
from hypothesis import strategies as st
from support.console import problem_of

JSON = {"Content-Type": "application/json"}

HOSTILE_TEXT = [
    "\x00",
    "a\x00b",
    "\r\nX-Injected: yes",
    "\x1b[31mred",
    "\u2028",
    "\u202eevil",
    "\ufeff",
    "\uffff",
    "😀" * 100,
    "x" * 10_000,
    "é" * 20_000,
    "%00",
    "%",
    "_",
    "\\",
    "'; DROP TABLE account.users; --",
    "../../etc/passwd",
    "\u0130\u0131\u212a\u017f\u00df\ufb01",
    " ",
    "",
    "nan",
    "null",
    "-1",
    "a@b",
    '"a b"@example.com',
    "a@[127.0.0.1]",
    f"{'x' * 64}@{'y' * 63}.{'z' * 63}.{'w' * 61}",
    "a@xn--a",
    "a@\u2024com",
]
HOSTILE_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 31, 2**31, 2**63, 2**63 - 1, -(2**63), 1.5, 1e308, [], {}, [[]], ["a"],
    {"a": 1}, {"a": {"b": None}},
]  # fmt: skip
HOSTILE_BYTES = [
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe",
    b'{"name": "\xff"}',
    b'{"name": "\xc0\x80"}',
    b'{"name": "\xed\xa0\x80"}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\udc00\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"NaN",
    b'{"name": NaN}',
    b'{"name": Infinity}',
    b'{"name": 1e400}',
    b'{"name": -1e400}',
    b'{"expires_in_days": ' + b"1" * 5_000 + b"}",
    b"[" * 5_000,
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"preferences":' + b'{"a":' * 1_000 + b"1" + b"}" * 1_001,
    b"{",
    b"{}}",
    b'{"a": 1,}',
    b"{'a': 1}",
    b"[]",
    b"[{}]",
    b"null",
    b"true",
    b"0",
    b'"text"',
    b"/* c */ {}",
]


def assert_refused_or_done(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.is_error:
        problem_of(answer)
    else:
        assert answer.headers["content-type"] == "application/json"


CHARACTERS = st.characters(exclude_categories=["Cs"])
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS),
    lambda children: st.lists(children, max_size=4)
    | st.dictionaries(st.text(CHARACTERS), children, max_size=4),
    max_leaves=12,
)  # fmt: skip

HOSTILE_NUMBERS = [
    "-1", "+1", "1.0", "1e1", "0x10", "1_0", "١٢", "²", " 1", "1 ", "1\n", "", "x", "\x00", "null", "1,2",
    str(2**63), "9" * 5_000,
]  # fmt: skip

IDS = [
    "%00", "a%00b", "%ED%A0%80", "%FF", "%C0%80", "x" * 10_000, "%2F", "a%2Fb", "%2e%2e", "%2E%2E%2Fprojects",
    "..%2f..", "%0d%0aX-Injected:%20yes", "%1b[31m", "%E2%80%A8", "%F0%9F%98%80" * 50, "%25", "%", "_", "*",
    "'",    "null", "undefined", "-1", "%20", "a;b=c", "a,b", "(a)", "%5C", "%3Fa=b", "%23a", ":", "@", "~",
]  # fmt: skip
