"""The report page as a browser shows it: quiet, in bounds, within reach, on paper too."""

from __future__ import annotations

import shlex

import pytest

from tests.browser.shown import ENDLESS, PICTURES, SCHEMES, WIDTHS, shown
from tests.processes.lowmem_runs import COUNTING, job_file, lowmem, stop_after_commits

pytestmark = pytest.mark.slow

# Says a word, throws, asks, loads from elsewhere, is too wide, and shows what nobody sees.
FAULTY = """<!DOCTYPE html><html lang="en"><title>faulty</title>
<main style="width: 3000px"><h1>faulty</h1><img src="http://127.0.0.1:9/x.png"></main>
<script>console.log("said"); alert("asked"); nowhere();</script>"""
# What is wider than its box.
CUT = """found => found.filter(one => one.scrollWidth > one.clientWidth)
  .map(one => one.getAttribute("aria-label"))"""
# CSS pixels of A4 between margins of 15 mm.
PAPER = 680


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_has_nothing_to_say_to_ask_for_or_to_scroll(
    browser, report, width, scheme
):
    with shown(browser, report.page, width=width, scheme=scheme) as seen:
        assert seen.overflow == 0
        seen.picture(f"{report.name}-{scheme}-{width}")
        seen.unfold()
        assert seen.overflow == 0
        seen.picture(f"{report.name}-{scheme}-{width}-open")
        assert seen.page.evaluate(
            "[...document.images].every(image => image.complete && image.naturalWidth)"
        )
        for drawn in seen.page.locator(".canvas svg").all():
            box = drawn.bounding_box()
            assert box["width"] > width / 2
            assert box["height"] > 200
    assert seen.complaints == []
    assert seen.requests == [report.page.as_uri()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_serious_whatever_is_unfolded(browser, report, width, scheme):
    with shown(browser, report.page, width=width, scheme=scheme) as seen:
        assert seen.grave_faults() == []
        seen.unfold()
        assert seen.grave_faults() == []


def test_what_is_watched_for_would_be_seen(browser, tmp_path):
    page = tmp_path / "faulty.html"
    page.write_text(FAULTY)
    with shown(browser, page) as seen:
        assert seen.overflow > 1000
        assert [fault.split(":")[0] for fault in seen.grave_faults()] == ["image-alt"]
    assert seen.requests == [page.as_uri(), "http://127.0.0.1:9/x.png"]
    for word in ("said", "dialog: asked", "nowhere is not defined"):
        assert word in seen.complaints


def test_a_workspace_named_like_a_script_is_harmless(browser, tmp_path):
    # Its own slash makes two folders of it.
    space = tmp_path / "<script>alert(1)<" / 'script>"><img src=x onerror=alert(2)>'
    space.parent.mkdir()
    job = job_file(tmp_path, COUNTING, "count.py")
    stop_after_commits(job, space, 1, *ENDLESS)
    assert lowmem("report", space, "--html", tmp_path / "page.html").status == 0
    with shown(browser, tmp_path / "page.html") as seen:
        seen.unfold()
        assert seen.page.locator("h1").inner_text() == str(space)
        assert seen.page.title() == f"lowmem report: {space}"
        to_go_on = seen.page.get_by_text("To go on:").locator("code").inner_text()
        assert shlex.split(to_go_on)[:5] == [
            *("lowmem", "run", str(job), "--workspace", str(space))
        ]
        assert seen.page.locator("script, img, iframe, object, [onerror]").count() == 0
    assert seen.complaints == []
    assert len(seen.requests) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_figure_opens_at_full_size_by_click_and_by_key(browser, studied, width):
    with shown(browser, studied.page, width=width) as seen:
        image = seen.page.get_by_alt_text("Figure: correlation", exact=True)
        summary = seen.page.locator(".zoom summary").filter(has=image)

        def is_full() -> bool:
            return image.evaluate("i => i.clientWidth === i.naturalWidth")

        assert not is_full()
        summary.click()
        assert is_full()
        assert seen.overflow == 0
        seen.picture(f"studied-figure-{width}")
        summary.click()
        assert not is_full()
        summary.evaluate("s => s.blur()")
        while not summary.evaluate("s => s === document.activeElement"):
            seen.page.keyboard.press("Tab")
            assert seen.page.evaluate("document.activeElement !== document.body")
        seen.page.keyboard.press("Enter")
        assert is_full()
        seen.page.keyboard.press("Space")
        assert not is_full()


def test_the_page_of_a_whole_study_is_below_two_megabytes(studied):
    assert 100_000 < studied.page.stat().st_size < 2 * 10**6


def test_no_figure_is_smaller_when_it_is_opened(browser, studied):
    with shown(browser, studied.page) as seen:
        for figure in seen.page.locator(".zoom").all():
            image = figure.locator("img")
            before = image.bounding_box()["width"]
            figure.evaluate("one => { one.open = true; }")
            assert image.bounding_box()["width"] >= before
            figure.evaluate("one => { one.open = false; }")


def test_on_a_phone_the_budget_is_told_within_its_chart(browser, report):
    with shown(browser, report.page, width=390) as seen:
        for label in seen.page.locator(".budget-label").all():
            chart = label.locator("..").bounding_box()
            assert label.bounding_box()["x"] >= chart["x"]


def test_the_page_on_paper_is_dark_on_white(browser, report):
    with shown(browser, report.page, width=PAPER, scheme="dark") as seen:
        seen.page.emulate_media(media="print", color_scheme="dark")
        seen.unfold()
        body = "getComputedStyle(document.body).backgroundColor"
        assert seen.page.evaluate(body) == "rgb(255, 255, 255)"
        assert seen.grave_faults() == []
        assert seen.page.eval_on_selector_all(".scroll", CUT) == []
        margins = dict.fromkeys(("top", "right", "bottom", "left"), "15mm")
        path = PICTURES / f"{report.name}.pdf"
        PICTURES.mkdir(parents=True, exist_ok=True)
        seen.page.pdf(path=path, format="A4", margin=margins)
        assert path.read_bytes().startswith(b"%PDF")
