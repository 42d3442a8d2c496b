"""A text that differs is noticed, and what stands for it hides nothing that is decided."""

from __future__ import annotations

import pytest

from tests.golden.kept import TEXTS, check, folder_of
from tests.golden.placeholders import MACHINE, TRAINED, WATCHED, broken, replaced
from tests.golden.terminal import Resized, emulated, replayed

KEPT = {
    file.stem: file.read_text(encoding="utf-8")
    for file in folder_of("80", "running").glob("*.txt")
}


def test_what_is_kept_is_accepted():
    assert {"stopped", "resumed", "watch", "status", "report", "usage"} < KEPT.keys()
    check("80", "running", KEPT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[exit code 75]", "[exit code 0]"),
        ("58 % are done", "59 % are done"),
        ("stopping at the next commit", "stopping at once"),
        ("1.86 GiB (2 GB)", "1.86 GiB (3 GB)"),
        ("count.py: planning\n", ""),
        ("count.py: planning\n", "count.py: planning\n\n"),
    ],
)
def test_one_word_that_differs_is_noticed_and_shown(before, after):
    seen = KEPT | {"stopped": KEPT["stopped"].replace(before, after)}
    if before not in KEPT["stopped"]:
        seen = KEPT | {"resumed": KEPT["resumed"].replace(before, after)}
    with pytest.raises(AssertionError) as told:
        check("80", "running", seen)
    assert "@@" in str(told.value)
    assert "python -m tests.golden.record 80/running" in str(told.value)


def test_a_session_that_is_not_kept_or_no_longer_played_is_noticed():
    fewer = {name: text for name, text in KEPT.items() if name != "watch"}
    for seen in (KEPT | {"another": "$ lowmem\n"}, fewer):
        with pytest.raises(AssertionError):
            check("80", "running", seen)


def test_the_same_session_is_another_text_at_another_width():
    for name in ("stopped", "status", "watch"):
        texts = {
            width: (TEXTS / width / "running" / f"{name}.txt").read_text()
            for width in ("40", "80", "200")
        }
        assert len(set(texts.values())) == 3
        for width, text in texts.items():
            _, *rows = text.splitlines()
            assert max(map(len, rows)) <= int(width)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  took     0.25 s, RAM peak 38.9 MiB", "  took     #.# s, RAM peak ##.# MiB"),
        ("  took     1 min 05 s, RAM", "  took     #.# s, RAM"),
        ("  took     1 h 01 min, RAM", "  took     #.# s, RAM"),
        ("in /tmp/g_a1b2_3d4/w", "in /tmp/g_XXXXXXXX/w"),
        ("at 2026-11-30 02:28:50 UTC", "at YYYY-MM-DD hh:mm:ss UTC"),
        ("2026-11-30 02:28  count, 0.64 s, on vm: done", None),
        ("2026-11-30  ############ 0.000128", "YYYY-MM-DD  <bar> #.#"),
        ("39.0 MiB of 1.86 GiB (2 GB) (2 %)", "##.# MiB of 1.86 GiB (2 GB) (# %)"),
        ("      0    1  committed     5     0.06    39.0", None),
    ],
)
def test_what_varies_is_replaced(line, told):
    known = {
        "2026": "YYYY-MM-DD hh:mm  count, #.# s, on HOST: done",
        "    ": "      0    1  committed     5     #.#    #.#",
    }
    assert replaced([line], None) == [told or known[line[:4]]]


@pytest.mark.parametrize(
    "line",
    [
        "job large does not fit its RAM budget of 858.3 MiB (900 MB): its smallest",
        "1080M or more, or choose options that need less memory.",
        "count: Ctrl-C: so far 1 cycle is committed, 58 % are done. A second Ctrl-C",
        "  cycles    4 committed: 12 rows",
        "  total  506",
        "  lowmem run count.py --ram-budget 2G --device cpu --cycle-steps 5 --hold 7",
        "count.py: planning",
        "journal       17 lines",
        "count  stopped       2  7 rows",
        "--mirror URL            Keep every commit in a folder or store, too.",
    ],
)
def test_what_is_decided_stays_as_it_is(line):
    assert replaced([line], None) == [line]
    assert replaced([line], 80) == [line]


def test_the_moving_line_keeps_memory_and_loss_and_loses_what_depends_on_the_time():
    line = "count 58%  ███░░  RAM 39/1907 MiB  [▌░] 2 %  peak 39.0 MiB  loss 0.14286"
    for left in ("", "  12 s left", "  2 min left", "  1 h 02 min left"):
        wide = f"{line}{left}  41.7 rows/s  cycle 1  7/12"
        assert replaced([wide], 80) == [
            "count 58%  <bar>  RAM #/1907 MiB  loss 0.14286"
        ]
        assert replaced([wide], 200) == [
            (
                "count 58%  <bar>  RAM #/1907 MiB  [<bar>] # %  peak ##.# MiB  "
                "loss 0.14286  cycle 1  7/12"
            )
        ]
    assert replaced([line], 40, TRAINED) == ["count 58%  RAM #/1907 MiB  loss #.#"]
    assert replaced([f"{line}  cycle 1  7/12"], 200, WATCHED)[0].endswith(
        "loss #.#  cycle #  #/12"
    )


def test_a_log_keeps_its_last_line_of_progress_and_who_watches_the_newest():
    lines = ["count: starting", "count: 8 %, RAM", "count: 50 %, RAM", "count: 100 %"]
    assert replaced(lines, None) == [lines[0], lines[3]]
    assert replaced(lines[:3], None, WATCHED) == ["count: starting", "count: #%, RAM"]


def test_what_the_machine_is_is_not_kept_but_what_is_asked_of_it_is():
    lines = ["RAM            23.54 GiB, 21.71 GiB available", "", "Limits here:"]
    assert replaced(lines, 80, MACHINE) == [
        "RAM  <found>",
        "",
        "Limits here:",
    ]


# --- the emulator -------------------------------------------------------------------


def test_a_line_that_the_terminal_broke_is_one_line_and_breaks_at_the_same_place():
    long = "".join(map(str, range(40)))
    assert emulated(f"{long}\r\nshort\r\n", 30) == [long, "short"]
    assert broken([long, "short"], 30) == [long[:30], long[30:60], long[60:], "short"]
    assert emulated("a" * 30 + "\r\nb", 30) == ["a" * 30, "b"]


def test_what_is_drawn_over_or_erased_is_not_seen():
    assert emulated("count 8%\rcount 100%\r\nend", 40) == ["count 100%", "end"]
    assert emulated("longer line\rshort\x1b[K\r\n\x1b[31mred\x1b[0m", 40) == [
        "short",
        "red",
    ]


def test_a_window_that_grows_shows_what_is_drawn_for_it_in_one_row():
    narrow, wide = "\rab 1%" + " " * 4, "\rab 2%  " + "x" * 20
    seen = replayed(narrow + wide, 10, [Resized(len(narrow), 40)])
    assert seen == ["ab 2%  " + "x" * 20]


def test_a_window_that_shrinks_breaks_blanks_that_were_meant_for_the_former_width():
    wide, narrow = "\rab 1%  " + "x" * 20, "\rab 2%" + " " * 22
    text = wide + narrow + "\rab 3%"
    assert replayed(text, 40, [Resized(len(wide), 10)]) == ["ab 2%", "ab 3%"]
