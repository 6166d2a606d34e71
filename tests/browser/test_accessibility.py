"""Every page in both schemes and at both widths: nothing that axe-core objects to, and nothing cut off."""

from typing import Any, Literal

import pytest
from support.browsing import NARROW, SHOWN, WIDE, Visits
from support.chromium import Chromium

RUN = "() => axe.run().then((found) => found.violations.map(({id, nodes}) => [id, nodes.map((n) => n.html)]))"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CUT_OFF = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(("role", "pattern"), SHOWN, ids=[f"{role} {pattern}" for role, pattern in SHOWN])
async def test_a_page_is_accessible(visits: Visits, the_chromium: Chromium, role: str, pattern: str) -> None:
    page = await visits.as_role(role, pattern)
    assert await page.get_by_role("heading", level=1).count() == 1
    assert await page.get_by_role("main").count() == 1
    await page.evaluate(the_chromium.axe)
    for width, height in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate(CUT_OFF) <= 0, f"{width} pixels are too few"
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            found: list[Any] = await page.evaluate(RUN)
            assert found == [], f"{scheme}, {width} pixels"
