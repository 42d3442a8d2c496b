"""What README shows can be typed, and the page of tests names tests."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import typer

import lowmem
from lowmem.cli.main import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_every_command_that_is_shown_is_there_with_the_options_that_it_takes():
    known = typer.main.get_command(app).commands
    lines = [line for kind, text in BLOCKS if not kind for line in text.splitlines()]
    shown = [line.partition("#")[0].split() for line in lines if "lowmem " in line]
    shown = [words[1:] for words in shown if words[0] == "lowmem"]
    assert len(shown) > 10
    for name, *words in shown:
        assert name in known, name
        # A group's own commands have the options.
        inner = [known[name], *getattr(known[name], "commands", {}).values()]
        options = {flag for one in inner for p in one.params for flag in p.opts}
        # What follows two dashes is a program's own.
        ours = words[: words.index("--")] if "--" in words else words
        given = [word for word in ours if word.startswith("--")]
        # Those of a job are its own to check; what a line says of options, a table's.
        own = {"--source", "--size", "--model"} if name == "run" else set()
        assert {g.strip(";,") for g in given} <= options | own, name


def test_the_blocks_of_a_program_run_as_they_are_shown():
    # The other is run in processes/test_run_from_python.py.
    (text,) = (t for kind, t in BLOCKS if kind == "python" and "%load_ext" in t)
    _, _, program = text.partition("load_everything()")
    program = program.partition("\n")[2]
    names = {"lowmem": lowmem, "work": lambda: bytearray(2**20)}
    exec(textwrap.dedent(program), names)  # noqa: S102 - what the reader would run
    assert names["used"].peak_bytes > 0
    assert callable(names["statistics"])


def test_every_file_that_the_page_of_tests_names_is_there():
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/test_\w+\.py)`", page))
    assert len(named) > 40
    assert [
        name for name in sorted(named) if not (ROOT / "tests" / name).exists()
    ] == []
