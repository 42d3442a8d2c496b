"""What the command line says of itself: help, version, names to complete."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

import lowmem
from lowmem.cli.help import names_to_complete, options_text
from lowmem.cli.main import app
from lowmem.pipeline.orders import PIPELINE
from lowmem.supervisor import planner


def told(*words):
    ended = CliRunner().invoke(app, list(words))
    return ended.exit_code, ended.stdout


def test_the_bare_name_shows_the_help_in_its_lines_and_is_no_error():
    status, text = told()
    assert status == 0
    assert text.startswith("Usage: ")
    assert any(line.startswith("  run ") for line in text.splitlines())
    assert "..." not in text.partition("Commands:")[2]


@pytest.mark.parametrize("words", [(), ("status",), ("data",), ("data", "info")])
def test_the_short_form_of_help_is_the_help(words):
    assert told(*words, "-h") == told(*words, "--help")
    assert told(*words, "-h")[0] == 0


def test_the_bare_name_of_a_group_lists_its_commands():
    status, text = told("data")
    assert (status, "stage" in text) == (0, True)


def test_the_short_form_of_version_is_the_version():
    assert told("-V") == (0, f"{lowmem.__version__}\n")


def test_a_shell_can_complete_commands_and_is_told_how(monkeypatch):
    assert "--install-completion" in told("--help")[1]
    monkeypatch.setenv("_LOWMEM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "lowmem sta")
    monkeypatch.setenv("COMP_CWORD", "1")
    ended = CliRunner().invoke(app, [], prog_name="lowmem")
    assert ended.stdout.split() == ["status"]


def test_a_job_is_completed_by_its_name_and_a_file_by_the_shell():
    assert names_to_complete("tr") == ["train"]
    assert set(names_to_complete("a")) == {"analyze", "append", "all"}
    assert names_to_complete("./mine") == []


def test_a_map_takes_three_words_and_all_that_a_run_takes():
    of_run = set(re.findall(r"--[a-z-]+", told("run", "--help")[1]))
    text = told("map", "--help")[1]
    assert of_run < set(re.findall(r"--[a-z-]+", text))
    assert re.findall(r"^  ([A-Z]+) <str>", text, re.MULTILINE) == [
        "FUNCTION",
        "SOURCE",
        "OUT",
    ]
    ended = CliRunner().invoke(app, ["map", "own.py:spread", "rows.zarr"])
    assert "a word is missing, expected three" in str(ended.exception)


@pytest.mark.parametrize("width", [40, 80, 96])
def test_the_options_of_a_job_fit_the_terminal(width):
    for job in planner.describe(PIPELINE):
        lines = options_text(job, width).splitlines()
        assert len(lines) > len(job.options)
        # Choices are one word, which is there to be copied.
        long = [line for line in lines if len(line) > width]
        assert all(re.fullmatch(r"  --[a-z-]+ [a-z|-]+", line) for line in long), long
        assert " ".join(options_text(job, width).split()) == " ".join(
            options_text(job, 1000).split()
        )
