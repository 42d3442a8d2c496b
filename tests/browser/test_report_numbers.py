"""The numbers that a browser shows are those of ``lowmem report --json``."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from tests.browser.shown import shown

pytestmark = pytest.mark.slow

ROWS = "table => [...table.rows].map(r => [...r.cells].map(c => c.innerText.trim()))"
FACTS = "list => Object.fromEntries([...list.children].map(one => one.innerText.trim().split('\\n')))"
# Where a chart's ticks, bars and limit stand, in pixels from the top of the screen.
BARS = """chart => {
  const top = one => one.getBoundingClientRect().top;
  const middle = one => { const b = one.getBoundingClientRect(); return b.top + b.height / 2; };
  return {
    ticks: [...chart.querySelectorAll(".y-axis span")].map(t => [t.innerText, middle(t)]),
    peaks: [...chart.querySelectorAll("rect.peak")].map(top),
    ends: [...chart.querySelectorAll("rect.end")].map(top),
    budget: [...chart.querySelectorAll("line.budget")].map(middle),
  };
}"""
UNITS = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
RAM = ("ram_start_bytes", "ram_peak_bytes", "ram_end_bytes", "ram_returned_bytes")
SECONDS = ("seconds", "gpu_seconds", "cpu_seconds")
BYTES = ("read_bytes", "written_bytes", "disk_read_bytes", "disk_written_bytes")


def is_as_printed(text: str, value: float | None, unit: float = 1) -> bool:
    """Return whether a text shows a value to as many places as it has."""
    if value is None:
        return text == "-"
    places = len(text.partition(".")[2])
    return abs(float(text.replace(",", "")) - value / unit) <= 0.5001 * 10**-places


def is_size(text: str, n_bytes: int | None) -> bool:
    if n_bytes is None:
        return text in {"-", "not measured"}
    number, unit = text.split()
    return is_as_printed(number, n_bytes, UNITS[unit])


def is_value(text: str, value: object) -> bool:
    """Return whether a text shows one value of a result or of a recipe."""
    if isinstance(value, bool) or value is None:
        return text in {True: {"yes"}, False: {"no"}, None: {"none", "-"}}[value]
    if isinstance(value, int | float):
        return float(text.replace(",", "")) == pytest.approx(value, rel=1e-5)
    return text == value if isinstance(value, str) else json.loads(text) == value


def is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())


@pytest.fixture
def jobs(browser, report):
    """Return the open page, and each job's section with what is told of it."""
    with shown(browser, report.page) as seen:
        seen.unfold()
        sections = seen.page.locator("section[id^=job-]").all()
        assert len(sections) == len(report.told["jobs"])
        yield seen.page, list(zip(report.told["jobs"].items(), sections, strict=True))


def test_facts_and_cards(jobs):
    page, found = jobs
    cards = page.locator(".cards .card").all()
    for ((name, job), section), card in zip(found, cards, strict=True):
        assert section.locator("h2").inner_text().split() == [name, job["state"]]
        assert card.locator(".card-title").inner_text().split() == [name, job["state"]]
        facts = section.locator("dl.facts").evaluate(FACTS)
        assert is_size(card.locator(".card-figure").inner_text(), job["ram_peak_bytes"])
        assert is_size(facts["RAM peak"], job["ram_peak_bytes"])
        assert is_size(facts.get("VRAM peak", "-"), job["vram_peak_bytes"])
        assert facts["Attempts"] == str(job["attempts"])
        assert facts["Seed"] == str(job["seed"])
        outcomes = [cycle["outcome"] for cycle in job["cycles"]]
        assert facts["Cycles"] == ", ".join(
            f"{outcomes.count(outcome)} {outcome}"
            for outcome in dict.fromkeys(["committed", *outcomes])
        )


def test_every_cycle(jobs):
    _, found = jobs
    for (_, job), section in found:
        tables = section.locator("table.cycles")
        assert tables.count() == bool(job["cycles"])
        if not job["cycles"]:
            continue
        _, _, *rows = tables.evaluate(ROWS)
        on_gpu = job["vram_peak_bytes"] is not None
        for row, cycle in zip(rows, job["cycles"], strict=True):
            index, attempt, outcome, items, seconds, commit, *sizes, settings = row
            assert [index, attempt] == [str(cycle["index"]), str(cycle["attempt"])]
            assert outcome == cycle["outcome"].replace("_", " ")
            assert is_as_printed(items, cycle["items"])
            assert is_as_printed(seconds, cycle["seconds"])
            assert is_as_printed(commit, cycle["commit_seconds"])
            names = (*RAM, "ram_hwm_bytes", *["vram_peak_bytes"] * on_gpu)
            for text, name in zip(sizes, names, strict=True):
                assert is_as_printed(text, cycle[name], 2**20), (name, text)
            assert settings == ", ".join(
                f"{name} {value:,}" for name, value in cycle["settings"].items()
            )


def test_bars_stand_as_high_as_their_axis_says(jobs):
    _, found = jobs
    for (_, job), section in found:
        cycles = [c for c in job["cycles"] if c["ram_peak_bytes"] is not None]
        chart = section.locator(".bars")
        assert chart.count() == bool(cycles)
        if not cycles:
            continue
        drawn = chart.evaluate(BARS)
        (_, bottom), *_, (label, height) = drawn["ticks"]
        number, unit = label.split()
        bytes_a_pixel = float(number) * UNITS[unit] / (bottom - height)
        heights = {
            name: [(bottom - top) * bytes_a_pixel for top in drawn[name]]
            for name in ("peaks", "ends", "budget")
        }
        ends = [c["ram_end_bytes"] for c in cycles if c["ram_end_bytes"] is not None]
        near = {"rel": 0.001, "abs": 1.5 * bytes_a_pixel}
        assert heights["peaks"] == pytest.approx(
            [cycle["ram_peak_bytes"] for cycle in cycles], **near
        )
        assert heights["ends"] == pytest.approx(ends, **near)
        limit = job["budgets"]["ram_bytes"]
        assert heights["budget"] in ([], [pytest.approx(limit, **near)])


def test_results_and_recipes(jobs):
    page, found = jobs
    for (name, job), section in found:
        shown_as = {n: v for n, v in job["summary"].items() if not is_table(v)}
        known = {n: v for n, v in job["recipe"].items() if v is not None}
        for label, values in (
            (f"Results of {name}", shown_as),
            (f"Recipe of {name}", known),
        ):
            region = section.get_by_role("region", name=label, exact=True)
            rows = region.locator("table").evaluate(ROWS) if region.count() else []
            texts = dict(rows)
            texts.pop("command", None)
            texts.pop("ran with", None)
            assert texts.keys() == values.keys()
            for key, value in values.items():
                assert is_value(texts[key], value), key
        for key in job["summary"].keys() - shown_as.keys():
            region = page.get_by_role("region", name=f"{key} of {name}", exact=True)
            (_, *columns), *rows = region.locator("table").evaluate(ROWS)
            for (row, *cells), (told, values) in zip(
                rows, job["summary"][key].items(), strict=True
            ):
                assert row == told
                for column, cell in zip(columns, cells, strict=True):
                    assert is_value(cell, values.get(column)), (row, column)


def test_usage(browser, report):
    usage = report.told["usage"]
    with shown(browser, report.page) as seen:
        seen.unfold()
        _, *rows = seen.page.locator("table.usage").evaluate(ROWS)
        sittings = seen.page.get_by_role("region", name="Sittings").locator("tr")
        n_sittings = sittings.count()
    told = chain(usage["days"], usage["jobs"], [usage["total"]])
    for (title, n, *cells), row in zip(rows, told, strict=True):
        assert title.split()[0] == (row["job"] or "together")
        assert title.endswith(row["day"] or "in all")
        assert n == str(row["n_sittings"])
        for text, name in zip(cells, (*SECONDS, *BYTES), strict=True):
            value = row["used"][name]
            if name in BYTES:
                assert is_size(text, value), (title, name, text)
            elif value is None:
                assert text == "-"
            else:
                hours = float(text.replace(",", ""))
                assert hours == pytest.approx(value / 3600, rel=0.005), (title, name)
    assert n_sittings == len(usage["sittings"])
