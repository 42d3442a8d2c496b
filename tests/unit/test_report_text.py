"""What is printed: complete, at most 100 columns, safe for the terminal."""

from __future__ import annotations

import pytest

from lowmem.base.errors import StoppedError
from lowmem.report.excerpt import excerpt
from lowmem.report.status import json_from_statuses, statuses, text_from_statuses
from lowmem.report.text import text_from_report
from lowmem.report.view import report_from_records
from tests.report_examples import MIB, History, killed_and_retried


def report_of(*histories: History, workspace: str = "/w", is_live: bool = False):
    records = [record for history in histories for record in history.records]
    return report_from_records(workspace, records, is_live=is_live)


def test_a_note_is_shown_once_however_often_its_worker_was_started():
    history = History(unit="rows").begin().run().start(0)
    history.note("from step 6 on, other batches").incident().start(0)
    history.note("from step 6 on, other batches").end()
    (job,) = report_of(history).jobs.values()
    assert [(note.attempt, note.text) for note in job.notes] == [
        (1, "from step 6 on, other batches")
    ]
    line_with(text_from_report(report_of(history)), "from step 6 on, other batches")


def line_with(text: str, *words: str) -> str:
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, found
    return found[0]


def test_a_table_shows_every_figure_of_a_cycle_in_mebibytes():
    history = History(unit="rows").begin().run().start(0)
    history.cycle(
        0,
        items=1234,
        seconds=61.5,
        ram_start_bytes=100 * MIB,
        ram_peak_bytes=200 * MIB,
        ram_end_bytes=120 * MIB,
        ram_returned_bytes=0,
        ram_hwm_bytes=None,
    )
    row = line_with(text_from_report(report_of(history)), "committed", "1,234", "61.50")
    assert " ".join(row.split()) == (
        "0 1 committed 1,234 61.50 0.08 100.0 200.0 120.0 0.0 -"
    )


def test_vram_is_a_column_only_where_it_was_measured():
    history = History().begin().run().start(0).cycle(0)
    assert "VRAM" not in text_from_report(report_of(history))
    history.cycle(1, vram_peak_bytes=3 * MIB)
    text = text_from_report(report_of(history))
    assert line_with(text, "outcome", "hwm").endswith("VRAM")
    assert line_with(text, "VRAM 3.0 MiB")


def test_events_results_and_messages_are_printed():
    text = text_from_report(report_of(killed_and_retried()))
    assert line_with(text, "ram_limit", "2.00 GiB", "work.py:123 in load_all")
    assert line_with(text, "-> restarted with micro_batch 32")
    assert line_with(text, "loss", "0.0123457")
    assert line_with(text, "40 committed, 1 interrupted: 163,840 images")


def test_an_event_names_the_signal_that_ended_a_worker_where_there_was_one():
    history = History().begin().run().start(0).cycle(0)
    history.incident(verdict="signal", signal="SIGUSR1", where=None)
    assert line_with(
        text_from_report(report_of(history)), "signal (SIGUSR1) in attempt"
    )


def test_a_change_of_settings_is_printed_where_it_happened():
    lines = text_from_report(report_of(killed_and_retried())).splitlines()
    cut = next(at for at, line in enumerate(lines) if "interrupted " in line)
    assert lines[cut + 1].strip() == "with batch_size 64, micro_batch 32"


@pytest.mark.parametrize("n_cycles", [1, 30, 12345])
def test_no_line_is_wider_than_100_columns(n_cycles):
    history = History().begin().run(vram_budget_bytes=10**10).start(0)
    for index in range(n_cycles):
        history.cycle(
            index,
            items=10**7,
            ram_peak_bytes=11 * 10**9,
            ram_hwm_bytes=12 * 10**9,
            vram_peak_bytes=10**9,
            seconds=1.0,
        )
        history.readings.clear()
    history.incident(where="a_long_name.py:1 in " + "f" * 60, action="word " * 40)
    history.end("failed", 70, message="word " * 60, summary={"key": ["text"] * 50})
    report = report_of(history)
    text = text_from_report(report) + text_from_statuses(report)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 80])
def test_the_words_of_a_report_fit_a_narrower_terminal(width):
    history = killed_and_retried()
    history.incident(where="a_name.py:1 in f", action="word " * 40)
    history.end("failed", 70, message="word " * 60, summary={"key": ["text"] * 50})
    report = report_of(history)
    told = text_from_report(report, width=width)
    assert max(map(len, told.splitlines())) <= width
    # The table of cycles is cut, and its first column stands in each part.
    whole = text_from_report(report)
    assert set(told.split()) == set(whole.split())
    assert words_outside_of_cycles(told) == words_outside_of_cycles(whole)


def words_outside_of_cycles(told):
    before, _, rest = told.partition("  cycle  ")
    return (before + rest.partition("  Events")[2]).split()


def test_a_long_list_is_cut_in_its_middle_unless_all_are_asked_for():
    report = report_of(killed_and_retried())
    assert "more" in text_from_report(report)
    whole = text_from_report(report, has_all_cycles=True)
    assert "more" not in whole
    assert whole.count(" committed ") == 40


@pytest.mark.parametrize("n_cycles", [16, 17, 500])
def test_an_excerpt_keeps_the_ends_and_the_highest_peak_and_counts_the_rest(n_cycles):
    history = History().begin().run().start(0)
    for index in range(n_cycles):
        highest = index == n_cycles // 2
        history.cycle(index, seconds=1.0, ram_peak_bytes=(9 if highest else 5) * MIB)
    cycles = report_of(history).jobs["train"].cycles
    shown = excerpt(cycles, at_most=16)
    kept = [cycle for cycle in shown if not isinstance(cycle, int)]
    assert len(kept) <= 16
    assert len(kept) + sum(n for n in shown if isinstance(n, int)) == n_cycles
    assert {0, n_cycles // 2, n_cycles - 1} <= {cycle.index for cycle in kept}


def test_codes_that_steer_a_terminal_are_shown_and_not_sent():
    history = History(job="ev\x1b[31mil", unit="im\rages").begin().run().start(0)
    history.cycle(0).incident(action="\x1b]0;title\x07", where="a\nb.py")
    history.end("failed", 70, message="\x1b[2J", summary={"\x1b": "\x9b"})
    report = report_of(history, workspace="/w/\x1b[0m")
    text = text_from_report(report) + text_from_statuses(report)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "\\x1b[31m" in text


def test_an_empty_workspace_says_what_to_do():
    assert "lowmem jobs" in text_from_report(report_of())
    assert "lowmem jobs" in text_from_statuses(report_of())


def test_status_has_a_line_a_job_with_its_peak_against_its_budget():
    text = text_from_statuses(report_of(killed_and_retried()))
    row = line_with(text, "train", "done", "40", "163,840 images")
    assert "2.00 GiB of 2.00 GiB (100 %)" in row
    assert "2026-11-22 19:" in row
    assert "lowmem run" not in text


@pytest.mark.parametrize("state", ["stopped", "failed", "refused"])
def test_status_names_the_command_that_carries_an_unfinished_job_on(state):
    history = History(reference="my job.py").begin().run()
    history.end(state, 75, message="so it went")
    text = text_from_statuses(report_of(history, workspace="/my work"))
    assert line_with(text, "lowmem run 'my job.py' --workspace '/my work'")
    assert line_with(text, "train: so it went")


@pytest.mark.parametrize("form", ["--workspace {}", "--workspace={}"])
def test_status_names_the_workspace_where_it_lies_by_now(form, tmp_path, monkeypatch):
    line = f"lowmem run train {form} --seed 2"
    history = History(command=tuple(line.format("w").split()[1:])).begin().run()
    history.end("stopped", 75)
    report = report_of(history, workspace=str(tmp_path / "w"))
    monkeypatch.chdir(tmp_path)
    assert statuses(report)["train"].next_command == line.format("w")
    monkeypatch.chdir("/")
    assert statuses(report)["train"].next_command == line.format(tmp_path / "w")


def test_status_says_of_a_job_that_was_cut_off_that_its_commits_are_kept():
    history = History().begin().run().start(0)
    assert "was cut off" in text_from_statuses(report_of(history))
    assert "was cut off" not in text_from_statuses(report_of(history, is_live=True))


@pytest.mark.parametrize("n_cycles", [0, 1])
def test_a_stop_claims_no_progress_that_was_not_committed(n_cycles):
    error = StoppedError(job="train", reason="asked to by SIGHUP")
    assert "progress is committed" not in str(error)
    history = History().begin().run().start(0)
    for index in range(n_cycles):
        history.cycle(index)
    history.end("stopped", 75, message=str(error))
    text = " ".join(text_from_statuses(report_of(history)).split())
    assert ("Nothing was committed yet: it starts over." in text) == (n_cycles == 0)


def test_the_status_document_holds_the_same_facts():
    report = report_of(killed_and_retried())
    status = statuses(report)["train"]
    assert (status.cycles, status.items, status.next_command) == (40, 163840, None)
    assert '"cycles": 40' in json_from_statuses(report)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("job", ["train", "generate"])
def test_status_fits_the_terminal_where_the_budget_is_told_twice(width, job):
    history = History(job=job).begin().run(ram_budget_bytes=12_700 * 10**6).start(0)
    for index in range(12):
        history.cycle(index, ram_peak_bytes=700 * MIB)
    report = report_of(history)
    told = text_from_statuses(report, width=width)
    # The command that continues is there to be copied.
    words = [line for line in told.splitlines() if "lowmem run" not in line]
    assert max(map(len, words)) <= width
    assert "of 11.83 GiB (12.7 GB)" in told
    wide = text_from_statuses(report, width=200)
    assert set(told.split()) == set(wide.split())
    # Beside each part stands whose it is.
    assert told.count(f"\n{job}") >= (3 if width == 40 else 2)
    assert wide.count("last activity (UTC)") == 1
