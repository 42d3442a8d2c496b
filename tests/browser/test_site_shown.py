"""The front page of the site, as ``make docs`` built it, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.shown import SCHEMES, WIDTHS, shown

FRONT = Path(__file__).parents[2] / "build" / "site" / "index.html"
BOXES = """() => {
  const boxes = [...document.querySelectorAll("pre, .table-wrapper")];
  return [boxes.map(b => b.scrollWidth > b.clientWidth), boxes.map(b => b.tabIndex === 0)];
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FRONT.exists(), reason="`make docs` builds the site"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_front_page_is_quiet_in_bounds_and_within_reach(browser, width, scheme):
    with shown(browser, FRONT, width=width, scheme=scheme) as seen:
        assert seen.overflow == 0
        assert seen.grave_faults() == []
        seen.picture(f"site-{scheme}-{width}")
    assert seen.complaints == []
    assert seen.requests[0] == FRONT.as_uri()
    site = FRONT.parent.as_uri()
    assert [one for one in seen.requests if not one.startswith(site)] == []


def test_the_keys_stop_at_what_is_wider_than_its_room_and_at_nothing_else(browser):
    with shown(browser, FRONT, width=390) as seen:
        wide, reached = seen.page.evaluate(BOXES)
        assert wide == reached
        on_phone = wide.count(True)
        assert on_phone
        seen.page.set_viewport_size({"width": 1280, "height": 900})
        # The browser tells the page of its new size when it next draws.
        seen.page.wait_for_function(
            f"n => {{ const [wide, reached] = ({BOXES})();"
            " return `${wide}` === `${reached}` && wide.filter(w => w).length < n; }",
            arg=on_phone,
        )
