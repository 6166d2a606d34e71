"""What a host chooses of the pages' look: name, logo, accent colour and links."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

DEFAULT_ACCENT: Final = "#3358d4"
_COLOUR: Final = re.compile("#[0-9a-fA-F]{6}")
_READABLE: Final = 4.5  # WCAG 2.2, 1.4.3
_LINEAR_BELOW: Final = 0.04045
_LIGHT_GROUND: Final = (245, 246, 248)
_DARK_GROUND: Final = (32, 35, 40)
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)

Colour: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """``links`` are labels and URLs, shown below each page. The two URLs are None where the host has none."""

    name: str = "hoc"
    logo_url: str | None = None
    accent: str = DEFAULT_ACCENT
    links: Sequence[tuple[str, str]] = ()
    sign_in_url: str | None = None
    sign_out_url: str | None = None


def parse_links(listed: str) -> list[tuple[str, str]]:
    """The links in a text such as ``Docs=https://…, Status=https://…``. Raises ValueError."""
    links: list[tuple[str, str]] = []
    for each in filter(None, (part.strip() for part in listed.split(","))):
        label, separator, url = (part.strip() for part in each.partition("="))
        if not (label and separator and url.startswith(("https://", "http://", "mailto:"))):
            raise ValueError(
                f"HOC_CONSOLE_LINKS: {each!r} is not a link. Write a label, = and a URL:"
                " Docs=https://docs.example.com, separated by commas."
            )
        links.append((label, url))
    return links


def accent_style(accent: str) -> str:
    """The custom properties of an accent colour, with variants that can be read on either ground.

    Raises ValueError for what is not a colour such as ``#3358d4``.
    """
    if not _COLOUR.fullmatch(accent):
        raise ValueError(f"HOC_CONSOLE_ACCENT: {accent!r} is not a colour such as {DEFAULT_ACCENT}.")
    given: Colour = (int(accent[1:3], 16), int(accent[3:5], 16), int(accent[5:7], 16))
    on_accent = max(_WHITE, _BLACK, key=lambda text: _contrast(given, text))
    on_light = _towards(given, _BLACK, _LIGHT_GROUND)
    on_dark = _towards(given, _WHITE, _DARK_GROUND)
    return (
        f":root{{--accent:{_hex(given)};--on-accent:{_hex(on_accent)};"
        f"--accent-on-light:{_hex(on_light)};--accent-on-dark:{_hex(on_dark)}}}\n"
    )


def _towards(colour: Colour, end: Colour, ground: Colour) -> Colour:
    """The first mixture of the colour with ``end`` that can be read on the ground."""
    for step in range(20):
        mixed = _mixed(colour, end, step / 20)
        if _contrast(mixed, ground) >= _READABLE:
            return mixed
    return end


def _mixed(colour: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, end, strict=True))
    return red, green, blue


def _contrast(one: Colour, other: Colour) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    """The relative luminance of sRGB, as WCAG 2.2 defines it."""
    red, green, blue = (
        value / 12.92 if value <= _LINEAR_BELOW else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
