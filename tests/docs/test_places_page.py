"""docs/places.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from lowmem.base.stop_signals import STOP_SIGNALS
from lowmem.base.units import format_seconds
from lowmem.places.place import PAGE, Surroundings, place_of
from lowmem.places.time_left import MARGIN_S, MARGIN_SHARE, TimeLeft

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / PAGE).read_text()


def section(title: str) -> str:
    (found,) = re.findall(
        rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL
    )
    return found


def test_the_page_that_doctor_names_is_there_and_the_readme_leads_to_it():
    assert f"({PAGE})" in (ROOT / "README.md").read_text()


def test_every_signal_to_stop_is_on_the_page():
    first = section("Signals").partition("stop a run")[0]
    assert set(re.findall(r"\b[A-Z]+[12]?\b", first)) >= {
        number.name.removeprefix("SIG") for number in STOP_SIGNALS
    }


def test_the_time_kept_back_is_as_the_page_says():
    said = " ".join(section("Time").split())
    assert f"are {MARGIN_S:.0f} s, and of less than ten minutes a tenth" in said
    assert MARGIN_S / MARGIN_SHARE == 600, format_seconds(MARGIN_S / MARGIN_SHARE)


def test_what_doctor_suggests_for_colab_is_on_the_page():
    colab = place_of(
        Surroundings(
            environment={"COLAB_RELEASE_TAG": "x"},
            mounts=frozenset({"/content/drive"}),
        ),
        TimeLeft(),
    )
    (line,) = colab.advice
    words = set(line.split())
    assert words <= set(re.sub(r"[`]", " ", TEXT).split())


def test_a_link_from_another_page_leads_to_a_section():
    for page in ("README.md", "docs/jobs.md"):
        for anchor in re.findall(r"places\.md#([\w-]+)", (ROOT / page).read_text()):
            assert anchor in [
                title.lower().replace(" ", "-")
                for title in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
            ]
