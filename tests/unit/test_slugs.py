"""Slugs that are made from names."""

import re

import pytest

from hoc.cus.account.L5_engines.slugs import slug_candidates


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Ünïcödé & Söhne", "unicode-sohne"),
        ("U\u0308ni\u0308co\u0308de\u0301", "unicode"),
        ("Straße 5 GROẞ", "strasse-5-gross"),
        ("Łódź Æther Øre Đà Þór", "lodz-aether-ore-da-thor"),
        ("İstanbul \u0131ş\u0131k", "istanbul-isik"),
        ("\uff26\uff55\uff4c\uff4c ﬁne ①²", "full-fine-12"),
        ("O'Brien--Co.", "o-brien-co"),
        ("Tiếng Việt", "tieng-viet"),
        ("株式会社", "project"),
        ("\U0001f469\u200d\U0001f680", "project"),
        ("x" * 60, "x" * 48),
        (f"{'x' * 47} y", "x" * 47),
    ],
)
def test_a_slug_is_made_of_a_names_latin_letters(name: str, slug: str) -> None:
    first, *others = slug_candidates(name)
    assert first == slug
    for other in others:
        assert re.fullmatch(rf"{slug}-[0-9a-f]+", other)
        assert len(other) <= 63
