"""The page: complete, self-contained, and inert whatever the user's names are."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from lowmem.base.errors import CorruptFileError, StorageError
from lowmem.base.workspace import Workspace
from lowmem.protocol.records import Machine, Spent
from lowmem.report.figures import read_gallery
from lowmem.report.read import read_report
from lowmem.report.text import text_from_report
from lowmem.report.training import training_charts
from lowmem.report.write import write_page
from tests.report_examples import (
    MIB,
    START,
    History,
    killed_and_retried,
    write_journal,
)

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "link", "img", "br", "line", "rect", "path"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str, name: str | None = None) -> list[dict[str, str]]:
        return [
            attributes
            for found, attributes in self.elements
            if found == tag and (name is None or name in attributes["class"].split())
        ]


def page_of(space: Workspace, *, is_live: bool = False) -> Page:
    path = write_page(space, is_live=is_live, now=START + timedelta(days=1))
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def workspace_of(path, *histories: History) -> Workspace:
    space = Workspace.at(path)
    write_journal(space, *histories)
    return space


def test_the_page_shows_charts_events_results_and_every_cycle(tmp_path):
    page = page_of(workspace_of(tmp_path, killed_and_retried()))
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert labels == [
        "RAM of train over time: at most 2.00 GiB of a budget of 2.00 GiB",
        "RAM of train by cycle: at most 2.00 GiB of a budget of 2.00 GiB",
    ]
    assert len(page.all("rect", "peak")) == 41
    assert len(page.all("line", "budget")) == 2
    assert "restarted with micro_batch 32" in page.text
    assert "loss 0.0123457" in page.text
    assert "40 committed, 1 interrupted" in page.text
    assert page.text.count("batch_size 64, micro_batch 32") == 34


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(tmp_path):
    page = page_of(workspace_of(tmp_path, killed_and_retried()))
    assert page.all("script") == []
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            target = attributes.get(name, "#")
            assert target.startswith(("#", "data:")), target
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert policy["content"].startswith("default-src 'none'")
    style = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_markup_in_names_paths_messages_and_values_stays_text(tmp_path):
    history = History(job="job " + EVIL.replace("/", ""), unit=EVIL)
    history.settings = {EVIL: 1}
    history.begin().run().start(0, versions={EVIL: EVIL}).cycle(0)
    history.incident(where=EVIL, action=EVIL)
    history.end("failed", 70, message=EVIL, summary={EVIL: EVIL, "more": [EVIL]})
    root = tmp_path / "<script>alert(2)<" / "script>"
    page = page_of(workspace_of(root, history))
    assert page.all("script") == []
    assert page.all("img") == []
    assert page.text.count("<script>alert('x')</script>") >= 7
    assert str(root) in page.text


def test_an_empty_workspace_has_a_page(tmp_path):
    page = page_of(Workspace.at(tmp_path / "new"))
    assert "Nothing has run here yet" in page.text
    assert page.all("svg") == []


def test_a_job_that_was_only_refused_has_no_charts_and_says_why(tmp_path):
    history = History().run().end("refused", 73, message="needs 9 GiB")
    page = page_of(workspace_of(tmp_path, history))
    assert page.all("svg") == []
    assert "needs 9 GiB" in page.text
    assert "not measured" in page.text


def test_cycles_without_telemetry_have_bars_and_no_curve(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    space.telemetry("train").unlink()
    assert [figure["class"] for figure in page_of(space).all("figure")] == [
        "chart bars"
    ]


def test_vram_has_a_curve_and_a_column_where_it_was_measured(tmp_path):
    history = History().begin().run(vram_budget_bytes=15 * 10**9).start(0, device="gpu")
    history.cycle(0, vram_peak_bytes=12000 * MIB)
    page = page_of(workspace_of(tmp_path, history))
    assert [figure["class"] for figure in page.all("figure")] == [
        "chart curve ram",
        "chart curve vram",
        "chart bars",
    ]
    assert "VRAM, MiB" in page.text


def test_a_budget_is_told_as_it_was_typed_wherever_it_is_told(tmp_path):
    history = History().begin().run(ram_budget_bytes=2 * 10**9).start(0).cycle(0)
    page = page_of(workspace_of(tmp_path, history))
    # The card, the facts, and the line in each of the two charts.
    assert page.text.count("1.86 GiB (2 GB)") == page.text.count("1.86 GiB") == 4


def test_unmeasured_values_are_dashes_and_draw_no_bar(tmp_path):
    history = History().begin().run().start(0)
    history.cycle(0, ram_peak_bytes=None, ram_start_bytes=None, ram_hwm_bytes=None)
    page = page_of(workspace_of(tmp_path, history))
    assert page.all("svg") == []
    assert "4,096 12.50 0.08 - - 650.0 310.0 -" in page.text


def test_readings_from_before_a_restart_from_nothing_are_not_drawn(tmp_path):
    history = killed_and_retried()
    history.run().begin().start(0).cycle(0, ram_peak_bytes=700 * MIB)
    page = page_of(workspace_of(tmp_path, history))
    assert page.all("svg")[0]["aria-label"].startswith(
        "RAM of train over time: at most 700.0 MiB"
    )


@pytest.mark.slow
def test_a_job_of_thousands_of_cycles_gives_a_page_of_bounded_size(tmp_path):
    history = History().begin().run().start(0)
    for index in range(5000):
        history.cycle(index, seconds=4.0, ram_peak_bytes=(500 + index % 7) * MIB)
    history.cycle(5000, seconds=4.0, ram_peak_bytes=901 * MIB).end()
    # Written without the journal's fsync a line, which is not what is tested here.
    records, history.records = history.records, []
    space = workspace_of(tmp_path, history)
    write_fast(space, records)
    page = page_of(space)
    assert (tmp_path / "report.html").stat().st_size < 500_000
    assert len(page.all("rect", "peak")) <= 120
    curve = page.all("path", "line")[0]["d"]
    assert len(re.findall(r"[\d.]+ [\d.]+", curve)) <= 2002
    assert "901.0" in page.text


def write_fast(space: Workspace, records: list) -> None:
    from lowmem.base.journal import line_from_body
    from lowmem.protocol.records import body_from_record

    space.private.mkdir(exist_ok=True)
    lines = (line_from_body(body_from_record(record)) for record in records)
    space.journal.write_bytes(b"".join(lines))


def test_the_page_is_the_same_for_the_same_workspace_and_moment(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    first = write_page(space, is_live=False, now=START).read_bytes()
    assert write_page(space, is_live=False, now=START).read_bytes() == first


def test_the_page_can_be_written_elsewhere(tmp_path):
    space = workspace_of(tmp_path / "work", killed_and_retried())
    target = tmp_path / "new folder" / "page.html"
    assert write_page(space, is_live=False, now=START, target=target) == target
    assert target.exists()
    assert not space.report.exists()


def test_a_page_that_cannot_be_written_is_a_storage_error(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    space.report.mkdir()
    with pytest.raises(StorageError):
        write_page(space, is_live=False, now=START)


def test_a_damaged_journal_leaves_the_old_page_in_place(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    space.report.write_text("old")
    space.journal.write_bytes(b"x\n" + space.journal.read_bytes())
    with pytest.raises(CorruptFileError):
        write_page(space, is_live=False, now=START)
    assert space.report.read_text() == "old"


# --- figures ----------------------------------------------------------------------


def add_figure(path, *, size=(40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "navy").save(path)


def test_figures_are_embedded_with_their_size_and_a_text_that_names_them(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    add_figure(space.figures / "figures" / "pair_0-1.png")
    add_figure(space.generated / "grid.png", size=(64, 48))
    add_figure(space.generated / "methods.png")
    images = page_of(space).all("img")
    names = [image["alt"].removeprefix("Figure: ") for image in images]
    assert names == ["grid", "methods", "pair 0 1"]
    assert (images[0]["width"], images[0]["height"]) == ("64", "48")
    assert all(
        image["src"].startswith("data:image/png;base64,iVBOR") for image in images
    )


def test_a_figure_that_is_too_large_or_no_picture_is_named_instead(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    folder = space.figures / "figures"
    add_figure(folder / "good.png")
    (folder / "huge.png").write_bytes(
        (folder / "good.png").read_bytes() + bytes(3 * 10**6)
    )
    (folder / "text.png").write_text("not a picture")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to("nowhere")
    page = page_of(space)
    assert len(page.all("img")) == 1
    for name in ("huge", "text", "folder", "gone"):
        assert f"analysis/figures/{name}.png" in page.text


def test_the_sum_and_the_number_of_figures_are_bounded(tmp_path):
    space = Workspace.at(tmp_path)
    for number in range(45):
        add_figure(space.figures / "figures" / f"{number:02}.png", size=(2, 2))
    gallery = read_gallery(space)
    assert (len(gallery.figures), len(gallery.beside)) == (40, 5)
    for path in sorted((space.figures / "figures").glob("*.png"))[:6]:
        path.write_bytes(path.read_bytes() + bytes(400_000))
    gallery = read_gallery(space)
    # Three of them have room, and the small ones after them all the same.
    assert [link.place for link in gallery.beside[:3]] == [
        f"analysis/figures/{number:02}.png" for number in (3, 4, 5)
    ]
    assert sum(len(figure.uri) for figure in gallery.figures) < 1.81 * 10**6
    assert gallery.left_out == ()


def test_a_page_stays_below_two_megabytes_and_links_to_what_lies_beside_it(tmp_path):
    space = workspace_of(tmp_path / "work", killed_and_retried())
    for number in range(9):
        path = space.figures / "figures" / f"{number} javascript:alert(1)#?.png"
        add_figure(path)
        path.write_bytes(path.read_bytes() + bytes(300_000))
    for target in (space.report, tmp_path / "else where" / "page.html"):
        write_page(space, is_live=False, now=START, target=target)
        assert target.stat().st_size < 2 * 10**6
        page = Page(target.read_text(encoding="utf-8"))
        hrefs = [
            link["href"] for link in page.all("a") if not link["href"].startswith("#")
        ]
        assert len(page.all("img")) + len(hrefs) == 9
        assert len(hrefs) == 5
        for href in hrefs:
            # A path of its own, which is no address and leads to the very file.
            assert href.startswith("./")
            parts = urlsplit(href)
            assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
                *("", "", "", ""),
            )
            found = (target.parent / unquote(href)).resolve()
            assert found.parent == (space.figures / "figures").resolve()
            assert found.is_file()


def test_a_link_to_elsewhere_is_named_and_never_linked_to(tmp_path):
    space = workspace_of(tmp_path / "work", killed_and_retried())
    add_figure(tmp_path / "secret.png")
    folder = space.figures / "figures"
    folder.mkdir(parents=True)
    (folder / "mine.png").symlink_to(tmp_path / "secret.png")
    page = page_of(space)
    assert [a for a in page.all("a") if not a["href"].startswith("#")] == []
    assert "analysis/figures/mine.png" in page.text


def test_figures_lowmem_draws_have_a_sentence_and_open_at_full_size_without_a_script(
    tmp_path,
):
    space = workspace_of(tmp_path, killed_and_retried())
    add_figure(space.figures / "figures" / "radius.png")
    add_figure(space.generated / "nearest.png")
    add_figure(space.generated / "grid.png")
    page = page_of(space)
    places = [page.text.index(place) for place in ("grid.png", "nearest.png")]
    assert places == sorted(places)
    assert "Images decoded from vectors that were drawn." in page.text
    assert "Quantiles of the Mahalanobis distance" in page.text
    zooms = [d for d in page.all("details") if d.get("class") == "zoom"]
    assert len(zooms) == len(page.all("img")) == 3
    assert page.all("script") == []


# --- training ---------------------------------------------------------------------


def test_the_curves_of_the_history_end_at_the_numbers_of_its_last_row(tmp_path):
    space = workspace_of(tmp_path, killed_and_retried())
    space.model.mkdir()
    (space.model / "history.csv").write_text(
        "epoch,loss,val_loss,learning_rate\n"
        "1,4.0,3.0,0.1\n2,nan,2.5,0.1\n3,1.0,2.0123456789012345,0.1\n"
    )
    loss, rate = training_charts(space)
    assert [curve.name for curve in loss.curves] == ["loss", "val_loss"]
    assert loss.curves[1].last == "2.0123456789012345"
    # A value that is no number interrupts its line and no other.
    assert [curve.path.count("M") for curve in loss.curves] == [2, 1]
    first, last = loss.curves[0].path.split("M ")[1:]
    assert float(first.split()[1]) < float(last.split()[1])
    assert (rate.name, len(rate.y_ticks)) == ("learning_rate", 1)
    page = page_of(space)
    assert len(page.all("figure", "training")) == 2
    assert "val_loss, at last 2.0123456789012345" in page.text


@pytest.mark.parametrize(
    "content", ["", "loss\n1\n", "epoch,loss\nx,1\n2,inf\n", "\x00", "epoch,loss\n1\n"]
)
def test_a_history_that_cannot_be_drawn_costs_no_page(tmp_path, content):
    space = workspace_of(tmp_path, killed_and_retried())
    space.model.mkdir()
    (space.model / "history.csv").write_text(content)
    assert page_of(space).all("figure", "training") == []


# --- recipe and results -----------------------------------------------------------


def test_the_recipe_the_command_the_versions_and_the_scores_are_tables(tmp_path):
    history = History(job="generate").begin(seed=7, count=600, sigma=None).run()
    history.start(0).cycle(0)
    scores = {
        "mvn": {"frechet": 7.78231, "coverage": None},
        "ball": {"frechet": 8.5, "coverage": 0.25},
    }
    history.end(published=("generated",), summary={"images": 600, "methods": scores})
    space = workspace_of(tmp_path, history)
    page = page_of(space)
    assert len(page.all("table", "scores")) == 1
    assert "methods frechet coverage mvn 7.78231 - ball 8.5 0.25" in page.text
    assert "Recipe, command and versions" in page.text
    assert "seed 7 count 600 ran with python 3.11.9" in page.text
    # What was not given changes nothing, and what is a table is not JSON as well.
    assert "sigma" not in page.text
    assert "{" not in page.text
    report = read_report(space, is_live=False)
    text = text_from_report(report)
    assert "frechet  coverage" in text
    assert "ball      8.5      0.25" in text
    assert "{" not in text


# --- what next --------------------------------------------------------------------


def test_what_stopped_is_shown_with_the_command_that_goes_on(tmp_path):
    history = History().run().end("stopped", 75, message="stopped by a signal.")
    page = page_of(workspace_of(tmp_path, history))
    (job,) = read_report(Workspace.at(tmp_path), is_live=False).jobs.values()
    assert job.state == "stopped"
    assert "To go on: lowmem run" in page.text
    done = page_of(workspace_of(tmp_path / "done", killed_and_retried()))
    assert "To go on" not in done.text


def test_the_page_tells_what_was_used_and_escapes_the_name_of_a_machine(tmp_path):
    history = History().begin()
    history.run(machine=Machine(name=EVIL), gpu="absent").start(0)
    history.cycle(0, seconds=60.0, spent=Spent(cpu_s=7200.0, read_bytes=3 * MIB))
    history.end("stopped", 75, stopped_for="time", machine=Machine(name=EVIL))
    page = page_of(workspace_of(tmp_path, history))
    assert "1 sitting: 1 stopped, its time budget used up." in page.text
    assert "A GPU was wanted 1 time: 1 not there" in page.text
    # Two CPU hours, and what was not recorded of it.
    assert "train 2026-11-22 1 0.0169 0 2 3.0 MiB - - -" in page.text
    assert "bytes written of 1" in page.text
    assert f"train, 1 min 01 s, on {EVIL}" in page.text
    assert page.all("script") == []


def test_a_page_of_nothing_has_no_usage(tmp_path):
    space = Workspace.at(tmp_path)
    page = page_of(space)
    assert "sitting" not in " ".join(page.words[:20])
    assert not [tag for tag, found in page.elements if found.get("id") == "usage"]
