"""Addresses that reach one mailbox have one key, in whatever way their domain is written."""

# ruff: noqa: RUF001 - lookalike letters are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoc.cus.account.L5_engines.email_address import email_key, fold, parse_email
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.mail.message import envelope_for

SPELLINGS = {
    "v@example.com": [
        "v@ｅxample.com",
        "V@eｘample.COM",
        "v@example。com",
        "v@example．com",
        "v@exampl\ufe0fe.com",
    ],
    "eva@xn--bcher-kva.example.com": [
        "eva@bücher.example.com",
        "Eva@BÜCHER.example.com",
        "eva@bu\N{COMBINING DIAERESIS}cher.example.com",
        "eva@XN--BCHER-KVA.Example.com",
        "eva@bücher。example｡com",
        "eva@xn--bcher-kva.ｅxample.com",
    ],
    "jörg@xn--fa-hia.example.com": ["JÖRG@FAß.example.com", "jo\N{COMBINING DIAERESIS}rg@faß.example.com"],
    "x@xn--wgv71a119e.jp": ["x@日本語.jp", "x@日本語。ＪＰ"],
}


@pytest.mark.parametrize(
    ("key", "spelling"), [(key, each) for key, spellings in SPELLINGS.items() for each in (key, *spellings)]
)
def test_every_spelling_of_a_mailbox_has_one_key(key: str, spelling: str) -> None:
    assert parse_email(spelling).key == email_key(spelling) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x@faß.example.com", "x@fass.example.com"),
        ("ｖ@example.com", "v@example.com"),
        ("x@bücher.example.com", "x@bucher.example.com"),
        ("x@ехample.com", "x@example.com"),  # the first with Cyrillic letters
    ],
)
def test_another_mailbox_has_another_key(one: str, other: str) -> None:
    assert parse_email(one).key != parse_email(other).key


LOCALS = ("v", "V", "ｖ", "ß", "ss", "ü", "Ü", "u\u0308", "\N{KELVIN SIGN}", "k", "a.b", "=?x")
LABELS = (
    *("example", "EXAMPLE", "ｅxample", "exampl\ufe0fe"),
    *("bücher", "BÜCHER", "bu\u0308cher", "xn--bcher-kva", "XN--BCHER-KVA", "bucher"),
    *("faß", "fass", "FAẞ", "xn--fa-hia", "Ⅷ", "viii", "\N{KELVIN SIGN}", "k"),
)
ADDRESSES = st.builds(
    "{}@{}{}com".format, st.sampled_from(LOCALS), st.sampled_from(LABELS), st.sampled_from(".。．｡")
)


@given(ADDRESSES, ADDRESSES)
def test_the_key_is_the_same_if_the_mailbox_is(one: str, other: str) -> None:
    try:
        keys = {parse_email(one).key, parse_email(other).key}
    except InvalidInputError:
        return
    assert len(keys) == len({_mailed_to(one), _mailed_to(other)})


@given(st.one_of(ADDRESSES, st.emails(), st.builds("{}@{}.com".format, st.text(), st.text())))
def test_mail_can_be_sent_to_an_address_that_is_taken(address: str) -> None:
    try:
        parsed = parse_email(address)
    except InvalidInputError:
        return
    local, domain = _mailed_to(parsed.given)
    assert parsed.key == f"{local}@{domain}"


def _mailed_to(address: str) -> tuple[str, str]:
    """The recipient's folded local part and domain in the mail, from which the SMTP envelope is made."""
    [recipient] = envelope_for(address, "accounts@example.com", "Hello", "1")["To"].addresses
    return fold(recipient.username), recipient.domain.lower()
