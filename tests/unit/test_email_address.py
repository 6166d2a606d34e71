"""An address's key never makes two people one (CVE-2019-19844)."""

import sys

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import given
from hypothesis import strategies as st

from hoc.cus.account.L5_engines.email_address import PLAIN, email_key, fold, is_plain, parse_email, validate
from hoc.cus.account.L5_schemas.errors import InvalidInputError

# Each looks like plain letters, folds to them, or is lowered to them in some language.
TREACHEROUS = {
    "İ": "i",
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    "\N{KELVIN SIGN}": "k",
    "\N{LATIN SMALL LETTER LONG S}": "s",
    "ß": "ss",
    "ẞ": "ß",
    "\N{LATIN SMALL LIGATURE FI}": "fi",
    "\N{GREEK SMALL LETTER FINAL SIGMA}": "\N{GREEK SMALL LETTER SIGMA}",
    "\N{OHM SIGN}x": "\N{LATIN SMALL LETTER OPEN E}x",
}


@pytest.mark.parametrize(("treacherous", "plain"), TREACHEROUS.items())
def test_a_lookalike_is_another_address(treacherous: str, plain: str) -> None:
    for other in (plain, plain.upper(), plain.lower(), plain.title()):
        assert email_key(f"{treacherous}@example.com") != email_key(f"{other}@example.com")


@pytest.mark.parametrize(
    "spelling", ["ada@example.com", "ADA@EXAMPLE.COM", "Ada@Example.com", "  ada@example.com\t"]
)
def test_case_and_surrounding_space_do_not_matter(spelling: str) -> None:
    assert email_key(spelling) == "ada@example.com"


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_ascii_is_lowered(address: str) -> None:
    assert email_key(address) == address.lower()
    assert email_key(address.upper()) == email_key(address)


@given(st.text())
def test_a_key_is_its_own_key(address: str) -> None:
    assert email_key(email_key(address)) == email_key(address)


@given(st.characters(min_codepoint=0x80), st.text(alphabet="aiksfISKF", max_size=3))
def test_nothing_outside_ascii_becomes_ascii(character: str, around: str) -> None:
    if not character.isspace():
        assert not email_key(f"{around}{character}{around}@example.com").isascii()


def test_every_character_outside_ascii_stays_there() -> None:
    strays = [
        character
        for character in map(chr, range(0x80, sys.maxunicode + 1))
        if not character.isspace() and email_key(f"a{character}@example.com").isascii()
    ]
    assert strays == []


def test_an_address_is_kept_as_given() -> None:
    parsed = parse_email("  Ada.Lovelace@Example.COM ")
    assert (parsed.given, parsed.key) == ("Ada.Lovelace@Example.COM", "ada.lovelace@example.com")


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ada",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "ada@exa mple.com",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\x00@example.com",
        "\ud800@example.com",
        f"{'a' * 65}@example.com",
        f"ada@{'a' * 250}.com",
        "ada@example.com.",
        "ada@example.com\N{IDEOGRAPHIC FULL STOP}",
        "ada@exam\N{SOFT HYPHEN}ple.com",
        "ada\N{FULLWIDTH COMMERCIAL AT}example.com",
        "ada@xn--a.example.com",
        "ada@\N{SNOWMAN}.example.com",
        "=?utf-8?q?ada?=@example.com",
    ],
)
def test_an_address_no_mail_can_reach_is_refused(address: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_email(address, field="to")
    assert [problem.pointer for problem in refused.value.problems] == ["/to"]


@given(st.text())
def test_any_text_is_parsed_or_refused(address: str) -> None:
    try:
        parsed = parse_email(address)
    except InvalidInputError:
        return
    assert parsed.given == address.strip()
    assert parsed.key == email_key(address)
    assert len(parsed.given) <= 255
    assert len(parsed.key) <= 512


_WORDS = st.text(alphabet="aAzZ09_+-.x", min_size=1, max_size=30)
_DOMAINS = st.lists(
    st.one_of(
        st.sampled_from(("example", "Mail", "xn--a", "xn", "a--b", "test", "LOCAL", "com", "c0m", "1")),
        st.text(alphabet="aZ09-", max_size=24),
    ),
    min_size=1,
    max_size=4,
).map(".".join)
_SHORTCUT = PLAIN.pattern


@given(st.one_of(st.builds("{}@{}".format, _WORDS, _DOMAINS), st.from_regex(_SHORTCUT, fullmatch=True)))
def test_the_shortcut_for_plain_addresses_accepts_nothing_else(address: str) -> None:
    if is_plain(address):
        validate(address, "email")


@pytest.mark.parametrize("domain", [*SPECIAL_USE_DOMAIN_NAMES, "printer.LOCAL", "a.Localhost", "x.invalid"])
def test_the_shortcut_leaves_special_domains_to_the_validator(domain: str) -> None:
    assert not is_plain(f"ada@{domain}")


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_ascii_folds_to_lower_case_as_every_other_text_does(text: str) -> None:
    beyond_ascii = "é"
    assert f"{fold(text)}{beyond_ascii}" == fold(f"{text}{beyond_ascii}")
